-- Tables, for themselves: their parts are in files of their own. Nothing drops a table that may have rows.
SELECT
    pg_catalog.format('%%I.%%I', n.nspname, c.relname),
    CASE c.relkind WHEN 'p' THEN 'partitioned' ELSE 'table' END,
    NULL,
    NULL
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND (n.nspname = ANY (%(schemas)s) OR n.nspname || '.' || c.relname = ANY (%(tables)s))
