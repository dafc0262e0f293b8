-- Comments on tables, views, their columns, and functions: PostgREST shows them. A table that became a partition has kept
-- its own.
SELECT
    noted.name,
    noted.text,
    pg_catalog.format('COMMENT ON %%s IS %%L', noted.name, noted.text),
    pg_catalog.format('COMMENT ON %%s IS NULL', noted.name)
FROM (
    SELECT
        CASE
            WHEN d.objsubid > 0 THEN pg_catalog.format('COLUMN %%I.%%I.%%I', n.nspname, c.relname, t.attname)
            WHEN c.relkind = 'v' THEN pg_catalog.format('VIEW %%I.%%I', n.nspname, c.relname)
            WHEN c.relkind = 'm' THEN pg_catalog.format('MATERIALIZED VIEW %%I.%%I', n.nspname, c.relname)
            ELSE pg_catalog.format('TABLE %%I.%%I', n.nspname, c.relname)
        END AS name,
        d.description AS text
    FROM pg_catalog.pg_description d
    JOIN pg_catalog.pg_class c ON c.oid = d.objoid AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute t ON (t.attrelid, t.attnum) = (c.oid, d.objsubid)
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition AND c.oid = ANY (%(relations)s)

    UNION ALL

    SELECT pg_catalog.format('ROUTINE %%s', d.objoid::pg_catalog.regprocedure), d.description
    FROM pg_catalog.pg_description d
    WHERE d.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objoid = ANY (%(functions)s)
) AS noted
