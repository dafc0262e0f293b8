-- Tables and partitions that are empty after a crash, and on a replica.
SELECT
    pg_catalog.format('%%I.%%I', n.nspname, c.relname),
    'unlogged',
    NULL,
    pg_catalog.format('ALTER TABLE %%I.%%I SET LOGGED', n.nspname, c.relname)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence = 'u' AND c.relkind = 'r' AND c.oid = ANY (%(relations)s)
