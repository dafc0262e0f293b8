-- Lines are added here, and never changed or removed. A trigger marks those about a row whose key another one has taken.
BEGIN
    IF TG_OP = 'UPDATE' AND pg_catalog.pg_trigger_depth() > 1 AND pg_catalog.has_table_privilege(TG_RELID, 'TRIGGER') THEN
        OLD.former := true;
        IF NEW OPERATOR(pg_catalog.*=) OLD THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = pg_catalog.format(
            '%s of %I.%I is refused: its rows are never changed or removed.', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        ),
        HINT = 'A migration that is meant to says so with WithoutGuards, of pgcraft_django.operations.';
END
