-- Tables, for themselves: their parts are in files of their own. Nothing drops a table that may have rows.
SELECT
    pg_catalog.format('%%I.%%I', n.nspname, c.relname),
    CASE c.relkind WHEN 'p' THEN 'partitioned' WHEN 'f' THEN 'foreign' ELSE 'table' END,
    NULL,
    CASE c.relkind WHEN 'f' THEN pg_catalog.format('DROP FOREIGN TABLE %%I.%%I', n.nspname, c.relname) END
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.oid = ANY (%(relations)s)
