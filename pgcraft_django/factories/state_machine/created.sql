-- A new row is in the initial state, and its log begins with that.
DECLARE
    wrong text;
    begun record;
BEGIN
    IF {restoring} THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(entity.{state}, 'NULL') INTO wrong
    FROM new_rows AS entity
    WHERE {state_of_entity} IS DISTINCT FROM {initial}
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = pg_catalog.format(
                'A new row of %I cannot be %s: it begins as %s.', TG_TABLE_NAME, wrong, {initial}
            ),
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = {column};
    END IF;
    -- Only a trigger of one's own can have been faster.
    IF EXISTS (
        SELECT
        FROM pg_catalog.pg_trigger AS other
        WHERE other.tgrelid = TG_RELID AND other.tgname <> TG_NAME AND NOT other.tgisinternal
            AND other.tgtype & 70 = 4 -- AFTER INSERT
    ) AND EXISTS (
        SELECT FROM new_rows AS fresh
        WHERE (SELECT {state_of_entity} FROM {table} AS entity WHERE {same_entity}) <> {initial}
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = pg_catalog.format(
                'A trigger for each new row of %I leads it on before its log has begun.', TG_TABLE_NAME
            ),
            HINT = 'Make it a trigger FOR EACH STATEMENT, whose name comes after that of the triggers of the states.',
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = {column};
    END IF;

    FOR begun IN
        WITH lines AS (
            INSERT INTO {log} AS line ({key}, step, from_state, to_state, at, actor, reason)
            SELECT
                {entity_key},
                coalesce(latest.step, 0) + 1,
                NULL,
                entity.{state},
                greatest(pg_catalog.clock_timestamp(), latest.at + interval '1 microsecond'),
                (SELECT {actor}),
                {reason}
            FROM new_rows AS entity
            LEFT JOIN LATERAL (
                SELECT earlier.step, earlier.at
                FROM {log} AS earlier
                {latest}
            ) AS latest ON true
            RETURNING {line_key}, line.step
        )
        SELECT * FROM lines WHERE lines.step > 1
    LOOP
        -- Another row had the key before.
        UPDATE {log} AS line SET former = true WHERE {same_row} AND line.step < begun.step AND NOT line.former;
    END LOOP;
    RETURN NULL;
END
