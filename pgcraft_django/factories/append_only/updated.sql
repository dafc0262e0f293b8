-- Keep the versions that an UPDATE has ended.
BEGIN
    -- One row is what most statements change: without a join that is made for many, it takes less.
    PERFORM FROM new_rows OFFSET 1 LIMIT 1;
    IF NOT FOUND THEN
        INSERT INTO {history} (
            {columns},
            "version", "valid_from", "valid_to", "operation", "actor", "reason"
        )
        SELECT
            {ended_columns},
            ended."version", ended."valid_from", begun."valid_from", 'update',
            {actor},
            {reason}
        FROM old_rows AS ended
        JOIN new_rows AS begun ON begun."version" = ended."version" + 1;
        RETURN NULL;
    END IF;
    -- A session plans this once, maybe for two rows, and then has 10,000. A full join is never done by nested loops, and
    -- stays one with a condition that lets NULL pass. A row may be there twice: foreign keys can set it to NULL in turn.
    INSERT INTO {history} (
        {columns},
        "version", "valid_from", "valid_to", "operation", "actor", "reason"
    )
    SELECT
        {ended_columns},
        ended."version", ended."valid_from", begun."valid_from", 'update',
        (SELECT {actor}),
        {reason}
    FROM old_rows AS ended
    FULL JOIN new_rows AS begun ON {same_key}
    WHERE begun."version" IS NOT DISTINCT FROM ended."version" + 1;
    RETURN NULL;
END
