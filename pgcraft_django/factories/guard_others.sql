-- Rows are added here by triggers, and by who may make triggers here.
BEGIN
    IF {mastered} THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = pg_catalog.format(
            'INSERT into %I.%I is refused: only triggers write it.', TG_TABLE_SCHEMA, TG_TABLE_NAME
        );
END
