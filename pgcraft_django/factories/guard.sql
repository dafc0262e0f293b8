-- Rows are added here, some by triggers alone, and never changed or removed.
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF pg_catalog.pg_trigger_depth() > 1 OR ({restoring}) THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION USING
            ERRCODE = 'restrict_violation',
            MESSAGE = pg_catalog.format(
                'INSERT into %I.%I is refused: only triggers write it.', TG_TABLE_SCHEMA, TG_TABLE_NAME
            );
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = pg_catalog.format(
            '%s of %I.%I is refused: its rows, or the history of them, are never changed or removed.',
            TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        );
END
