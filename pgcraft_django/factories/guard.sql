-- Rows are added here, and never changed or removed.
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = pg_catalog.format(
            '%s of %I.%I is refused: its rows, or the history of them, are never changed or removed.',
            TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        );
END
