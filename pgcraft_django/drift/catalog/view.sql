-- Views with their options: without security_invoker a view passes row-level security by.
SELECT
    pg_catalog.format('%%I.%%I', n.nspname, c.relname),
    pg_catalog.concat_ws(E'\n', pg_catalog.array_to_string(c.reloptions, ', '), pg_catalog.pg_get_viewdef(c.oid)),
    pg_catalog.format(
        'CREATE OR REPLACE VIEW %%I.%%I WITH (%%s) AS', n.nspname, c.relname, pg_catalog.array_to_string(c.reloptions, ', ')
    ) || E'\n' || pg_catalog.rtrim(pg_catalog.pg_get_viewdef(c.oid), ';'),
    pg_catalog.format('DROP VIEW %%I.%%I', n.nspname, c.relname)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND c.oid = ANY (%(relations)s)
