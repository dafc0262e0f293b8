-- Functions and procedures: bodies, SECURITY DEFINER, search path and all.
SELECT
    p.oid::pg_catalog.regprocedure::text,
    pg_catalog.pg_get_functiondef(p.oid),
    pg_catalog.pg_get_functiondef(p.oid),
    pg_catalog.format('DROP ROUTINE %%s', p.oid::pg_catalog.regprocedure)
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind IN ('f', 'p') AND n.nspname = ANY (%(schemas)s)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
