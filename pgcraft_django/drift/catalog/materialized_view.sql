-- Materialized views.
SELECT
    pg_catalog.format('%%I.%%I', n.nspname, c.relname),
    pg_catalog.pg_get_viewdef(c.oid),
    pg_catalog.format('CREATE MATERIALIZED VIEW %%I.%%I AS', n.nspname, c.relname)
        || E'\n' || pg_catalog.rtrim(pg_catalog.pg_get_viewdef(c.oid), ';'),
    pg_catalog.format('DROP MATERIALIZED VIEW %%I.%%I', n.nspname, c.relname)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND c.oid = ANY (%(relations)s)
