-- Who owns tables, views and functions: owners pass row-level security by, and definers run as theirs.
SELECT
    owned.name,
    pg_catalog.pg_get_userbyid(owned.owner)::text,
    pg_catalog.format('ALTER %%s %%s OWNER TO %%I', owned.kind, owned.name, pg_catalog.pg_get_userbyid(owned.owner)),
    NULL
FROM (
    SELECT
        pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name,
        c.relowner AS owner,
        CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END AS kind
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition AND c.oid = ANY (%(relations)s)
    UNION ALL
    SELECT p.oid::pg_catalog.regprocedure::text, p.proowner, 'ROUTINE'
    FROM pg_catalog.pg_proc p
    WHERE p.prokind <> 'a' AND p.oid = ANY (%(functions)s)
) AS owned
