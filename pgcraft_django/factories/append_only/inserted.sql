-- A key that others have used and given up since the trigger for the row looked cannot go on from what that saw.
BEGIN
    IF EXISTS (
        SELECT
        FROM new_rows AS begun
        JOIN {table} AS ended ON {same_key}
        JOIN {history} AS history ON {same_entity}
        WHERE history."version" >= ended."version"
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'serialization_failure',
            MESSAGE = pg_catalog.format('A key of %I.%I was used and given up by others meanwhile.', TG_TABLE_SCHEMA, TG_TABLE_NAME),
            HINT = 'Do it again.';
    END IF;
    RETURN NULL;
END
