-- Rows are added here by triggers alone, or come back from a dump. Everybody may make triggers, on tables of their own:
-- those that count run as who may make them on this one.
BEGIN
    IF (pg_catalog.pg_trigger_depth() > 1 AND pg_catalog.has_table_privilege(TG_RELID, 'TRIGGER')) OR (
        {restoring}
    ) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = pg_catalog.format(
            'INSERT into %I.%I is refused: only triggers write it.', TG_TABLE_SCHEMA, TG_TABLE_NAME
        );
END
