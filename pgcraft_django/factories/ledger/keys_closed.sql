-- Keys follow from the entries, and only from them: a dump brings them too.
BEGIN
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = pg_catalog.format(
            '%s of %I.%I is refused: keys follow from the entries of %I.',
            TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, {ledger_name}
        );
END
