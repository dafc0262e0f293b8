-- Defaults of the columns of views.
SELECT
    pg_catalog.format('%%I.%%I.%%I', n.nspname, c.relname, a.attname),
    pg_catalog.pg_get_expr(d.adbin, d.adrelid),
    pg_catalog.format(
        'ALTER VIEW %%I.%%I ALTER COLUMN %%I SET DEFAULT %%s',
        n.nspname, c.relname, a.attname, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
    ),
    pg_catalog.format('ALTER VIEW %%I.%%I ALTER COLUMN %%I DROP DEFAULT', n.nspname, c.relname, a.attname)
FROM pg_catalog.pg_attrdef d
JOIN pg_catalog.pg_attribute a ON (a.attrelid, a.attnum) = (d.adrelid, d.adnum)
JOIN pg_catalog.pg_class c ON c.oid = d.adrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND c.oid = ANY (%(relations)s)
