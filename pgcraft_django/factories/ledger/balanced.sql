-- At the end of the transaction, debits and credits of an entry are equal.
DECLARE
    debits numeric;
    credits numeric;
BEGIN
    SELECT
        coalesce(sum(leg.{value}) FILTER (WHERE leg."direction" = 'debit'), 0),
        coalesce(sum(leg.{value}) FILTER (WHERE leg."direction" = 'credit'), 0)
    INTO debits, credits
    FROM {table} AS leg
    WHERE leg."entry_id" = NEW."entry_id";
    IF debits <> credits THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = pg_catalog.format(
                'Debits and credits of the entry %s in %I differ: %s and %s.',
                NEW."entry_id", {ledger_name}, debits, credits
            ),
            HINT = 'Give all legs of an entry the same entry_id, in one transaction.',
            TABLE = {ledger_name},
            SCHEMA = TG_TABLE_SCHEMA;
    END IF;
    DELETE FROM {pending} WHERE "entry_id" = NEW."entry_id";
    RETURN NULL;
END
