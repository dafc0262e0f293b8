-- The time of an entry is that of the statement that adds it. Another one has led to another partition.
BEGIN
    IF {keeping} THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = pg_catalog.format(
            'An entry of %I comes with a created_at, which PostgreSQL sets.',
            (SELECT relname FROM pg_catalog.pg_class WHERE oid = pg_catalog.pg_partition_root(TG_RELID))
        ),
        HINT = 'Leave created_at out. Only who owns the table brings times back, with a dump or with loaddata.';
END
