-- A new row is in the initial state, and its log begins with that.
DECLARE
    wrong text;
BEGIN
    IF {restoring} THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(entity.{state}, 'NULL') INTO wrong
    FROM new_rows AS entity
    WHERE entity.{state} IS DISTINCT FROM {initial}
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = pg_catalog.format(
                'A new row of %I cannot be %s: it begins as %s.', TG_TABLE_NAME, wrong, {initial}
            ),
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = {column};
    END IF;
    IF EXISTS (
        SELECT FROM new_rows AS fresh
        WHERE (SELECT entity.{state} FROM {table} AS entity WHERE {same_entity}) <> {initial}
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = pg_catalog.format(
                'A trigger for each new row of %I leads it on before its log has begun.', TG_TABLE_NAME
            ),
            HINT = 'Make it a trigger FOR EACH STATEMENT, whose name comes after that of the triggers of the states.',
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = {column};
    END IF;

    INSERT INTO {log} ({key}, from_state, to_state, at, actor, reason)
    SELECT
        {entity_key},
        NULL,
        entity.{state},
        greatest(
            pg_catalog.clock_timestamp(),
            (
                SELECT earlier.at FROM {log} AS earlier
                {latest}
            ) + interval '1 microsecond'
        ),
        {actor},
        {reason}
    FROM new_rows AS entity;
    RETURN NULL;
END
