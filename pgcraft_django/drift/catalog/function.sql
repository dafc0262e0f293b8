-- Functions and procedures: bodies, SECURITY DEFINER, search path and all. PostgreSQL keeps RETURNING * as all columns in
-- the order in which the table got them, which says nothing, and would return them mixed up in a table with another one.
SELECT
    p.oid::pg_catalog.regprocedure::text,
    f.definition,
    f.definition,
    pg_catalog.format('DROP ROUTINE %%s', p.oid::pg_catalog.regprocedure)
FROM pg_catalog.pg_proc p
LEFT JOIN LATERAL (
    SELECT pg_catalog.string_agg(pg_catalog.format('%%I.%%I', c.relname, a.attname), E',\n     ' ORDER BY a.attnum) AS listed
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
    WHERE c.reltype = p.prorettype AND a.attnum > 0 AND NOT a.attisdropped
) r ON true
CROSS JOIN LATERAL (
    SELECT pg_catalog.replace(
        pg_catalog.pg_get_functiondef(p.oid),
        coalesce('RETURNING ' || r.listed || ';', ''),
        'RETURNING *;'
    ) AS definition
) f
WHERE p.prokind <> 'a' AND p.oid = ANY (%(functions)s)
