-- A key that others have used and given up since the trigger for the row looked cannot go on from what that saw.
BEGIN
    -- One look for the usual case, keys without a history. The LIMIT keeps PostgreSQL to the index: where it expects many
    -- versions of a key, as without statistics, it would go through all there are until it finds one.
    IF pg_catalog.current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable') AND NOT EXISTS (
        SELECT
        FROM new_rows AS begun
        CROSS JOIN LATERAL (
            SELECT FROM {history} AS history WHERE {history_is_begun} AND history."version" >= begun."version" LIMIT 1
        ) AS former
    ) THEN
        RETURN NULL;
    END IF;
    IF EXISTS (
        SELECT
        FROM new_rows AS begun
        CROSS JOIN LATERAL (SELECT ended."version" FROM {table} AS ended WHERE {same_key} LIMIT 1) AS ended
        CROSS JOIN LATERAL (
            SELECT FROM {history} AS history WHERE {history_is_begun} AND history."version" >= ended."version" LIMIT 1
        ) AS former
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'serialization_failure',
            MESSAGE = pg_catalog.format('A key of %I was used and given up by others meanwhile.', TG_TABLE_NAME),
            HINT = 'Do it again.';
    END IF;
    -- A transaction that keeps its snapshot does not see what others have done since. So it tries to take the place of
    -- each new version: where that is taken, PostgreSQL raises the same failure, and otherwise the attempt is undone.
    IF pg_catalog.current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        BEGIN
            INSERT INTO {history} ({keys}, "version", "valid_from", "valid_to", "operation")
            SELECT {begun_keys}, begun."version", begun."valid_from", begun."valid_from", 'delete'
            FROM new_rows AS begun
            ON CONFLICT ({keys}, "version") DO NOTHING;
            RAISE EXCEPTION USING ERRCODE = 'triggered_action_exception';
        EXCEPTION
            WHEN triggered_action_exception THEN NULL;
        END;
    END IF;
    RETURN NULL;
END
