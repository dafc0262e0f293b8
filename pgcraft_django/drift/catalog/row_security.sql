-- Row-level security: on, off, or for the owner too.
SELECT
    pg_catalog.format('%%I.%%I', n.nspname, c.relname),
    CASE WHEN c.relrowsecurity THEN 'on' ELSE 'off' END || CASE WHEN c.relforcerowsecurity THEN ', forced' ELSE '' END,
    pg_catalog.format(
        'ALTER TABLE %%I.%%I %%s ROW LEVEL SECURITY, %%s ROW LEVEL SECURITY',
        n.nspname, c.relname,
        CASE WHEN c.relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END,
        CASE WHEN c.relforcerowsecurity THEN 'FORCE' ELSE 'NO FORCE' END
    ),
    NULL
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.oid = ANY (%(relations)s)
