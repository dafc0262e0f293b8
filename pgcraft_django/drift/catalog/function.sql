-- Functions and procedures: bodies, SECURITY DEFINER, search path and all.
SELECT
    p.oid::pg_catalog.regprocedure::text,
    pg_catalog.pg_get_functiondef(p.oid),
    pg_catalog.pg_get_functiondef(p.oid),
    pg_catalog.format('DROP ROUTINE %%s', p.oid::pg_catalog.regprocedure)
FROM pg_catalog.pg_proc p
WHERE p.prokind <> 'a' AND p.oid = ANY (%(functions)s)
