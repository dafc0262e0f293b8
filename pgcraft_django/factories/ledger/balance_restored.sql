-- The rows of a dump may come one by one, those that take away first. Below the minimum, a negative id says so.
IF {restoring} THEN
    INSERT INTO {balance} AS kept ("id", {dimensions}, "balance")
    SELECT {opening}, {dimensions}, sum({amount})
    FROM new_rows
    GROUP BY {dimensions}
    ORDER BY {in_order}
    ON CONFLICT ({dimensions}) DO UPDATE SET
        "id" = CASE WHEN {sum_of} < {minimum} THEN -1 ELSE 1 END
            * least(pg_catalog.abs(kept."id"), pg_catalog.abs(excluded."id")),
        "balance" = {sum_of};
    RETURN NULL;
END IF;
