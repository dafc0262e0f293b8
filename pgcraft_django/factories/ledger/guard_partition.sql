-- What is written to a partition by its own name would pass the balances by.
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = pg_catalog.format(
            '%s of %I.%I is refused: it is a partition of %s.',
            TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, pg_catalog.pg_partition_root(TG_RELID)
        ),
        HINT = 'Write to the ledger itself. A dump of the data alone takes pg_dump --load-via-partition-root.';
END
