-- Rows are added here by functions of who owns the table, and by who may make triggers on it.
BEGIN
    IF pg_catalog.has_table_privilege(TG_RELID, 'TRIGGER') THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = pg_catalog.format(
            'INSERT into %I.%I is refused: only triggers write it.', TG_TABLE_SCHEMA, TG_TABLE_NAME
        );
END
