-- Keep the versions that a DELETE has ended.
BEGIN
    INSERT INTO {history} (
        {columns},
        "version", "valid_from", "valid_to", "operation", "actor", "reason"
    )
    SELECT
        {ended_columns},
        ended."version", ended."valid_from",
        greatest(clock_timestamp(), ended."valid_from" + interval '1 microsecond'), 'delete',
        (SELECT {actor}),
        {reason}
    FROM old_rows AS ended;
    -- The same statement may have inserted a key again: that row was numbered without the version that ends here.
    -- The LIMIT keeps PostgreSQL to the index, however many rows it has planned this for.
    IF EXISTS (
        SELECT
        FROM old_rows AS ended
        CROSS JOIN LATERAL (
            SELECT FROM {table} AS entity WHERE {entity_is_ended} LIMIT 1
        ) AS begun
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'cardinality_violation',
            MESSAGE = pg_catalog.format('One statement cannot delete a key of %I and insert it again.', TG_TABLE_NAME),
            HINT = 'Use two statements, or an UPDATE.';
    END IF;
    RETURN NULL;
END
