-- Keep the balances in the statement that adds the entries.
#variable_conflict use_column
BEGIN
    {restored}
    -- Most statements add one entry. There is nothing to sort or to sum then.
    PERFORM FROM new_rows OFFSET 1 LIMIT 1;
    IF NOT FOUND THEN
        INSERT INTO {balance} AS kept ("id", {dimensions}, "balance")
        SELECT {opening_of_one}, {dimensions}, {amount}
        FROM new_rows
        ON CONFLICT ({dimensions}) DO UPDATE SET
            "id" = least(kept."id", pg_catalog.abs(excluded."id")),
            "balance" = {sum};
        RETURN NULL;
    END IF;
    -- In the order of the groups, so that nobody waits in a circle.
    INSERT INTO {balance} AS kept ("id", {dimensions}, "balance")
    SELECT {opening}, {dimensions}, sum({amount})
    FROM new_rows
    GROUP BY {dimensions}
    ORDER BY {in_order}
    ON CONFLICT ({dimensions}) DO UPDATE SET
        "id" = least(kept."id", pg_catalog.abs(excluded."id")),
        "balance" = {sum};
    RETURN NULL;
END
