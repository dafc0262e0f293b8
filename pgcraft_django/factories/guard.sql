-- Rows are added here, and never changed or removed. What is said of a partition is said of the whole.
DECLARE
    table_name name;
BEGIN
    SELECT relname INTO table_name
    FROM pg_catalog.pg_class
    WHERE oid = coalesce(pg_catalog.pg_partition_root(TG_RELID), TG_RELID);
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = pg_catalog.format(
            '%s of %I.%I is refused: its rows, or the history of them, are never changed or removed.',
            TG_OP, TG_TABLE_SCHEMA, table_name
        ),
        HINT = 'A migration that is meant to says so with WithoutGuards, of pgcraft_django.operations.';
END
