-- Indexes that are no constraint.
SELECT
    pg_catalog.format('%%I.%%I', n.nspname, i.relname),
    pg_catalog.pg_get_indexdef(i.oid) || CASE WHEN x.indisvalid THEN '' ELSE ' (invalid)' END,
    pg_catalog.format('DROP INDEX IF EXISTS %%I.%%I; %%s', n.nspname, i.relname, pg_catalog.pg_get_indexdef(i.oid)),
    pg_catalog.format('DROP INDEX %%I.%%I', n.nspname, i.relname)
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conindid = i.oid AND o.conrelid = c.oid)
  AND NOT c.relispartition AND c.oid = ANY (%(relations)s)
