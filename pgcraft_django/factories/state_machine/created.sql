-- A new row is in the initial state, and its log begins with that.
DECLARE
    wrong text;
BEGIN
    -- COPY is how a dump comes back: with rows in any state, and the log of how they got there.
    IF pg_catalog.left(pg_catalog.current_query(), 100) ~* '^\s*copy\s' THEN
        PERFORM pg_catalog.pg_stat_clear_snapshot();
        IF EXISTS (
            SELECT FROM pg_catalog.pg_stat_progress_copy AS progress
            WHERE progress.pid = pg_catalog.pg_backend_pid() AND coalesce(progress.relid, TG_RELID) = TG_RELID
        ) THEN
            RETURN NULL;
        END IF;
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

    INSERT INTO {log} ({key}, from_state, to_state, at, actor, reason)
    SELECT
        {entity_key},
        NULL,
        entity.{state},
        greatest(
            pg_catalog.clock_timestamp(),
            (
                SELECT earlier.at FROM {log} AS earlier
                WHERE {same_key}
                ORDER BY earlier.transition_id DESC LIMIT 1
            ) + interval '1 microsecond'
        ),
        {actor},
        {reason}
    FROM new_rows AS entity;
    RETURN NULL;
END
