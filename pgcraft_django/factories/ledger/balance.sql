-- Keep the balances in the statement that adds the entries. In the order of the groups, so that nobody waits in a circle.
BEGIN
    INSERT INTO {balance} AS kept ("id", {dimensions}, "balance")
    SELECT {opening}, {dimensions}, sum({amount})
    FROM new_rows
    GROUP BY {dimensions}
    ORDER BY {dimensions}
    ON CONFLICT ({dimensions}) DO UPDATE SET
        "id" = least(kept."id", pg_catalog.abs(excluded."id")),
        "balance" = {sum};
    RETURN NULL;
END
