-- Privileges on functions, one by one. PUBLIC is everybody.
SELECT
    pg_catalog.format('%%s %%s to %%s', pg_catalog.lower(granted.privilege), granted.object, granted.grantee),
    CASE WHEN granted.is_grantable THEN 'with grant option' ELSE '' END,
    pg_catalog.format('GRANT %%s ON %%s TO %%s', granted.privilege, granted.object, granted.grantee),
    pg_catalog.format('REVOKE %%s ON %%s FROM %%s', granted.privilege, granted.object, granted.grantee)
FROM (
    SELECT
        'ROUTINE ' || p.oid::pg_catalog.regprocedure::text AS object,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::text END AS grantee,
        a.privilege_type AS privilege,
        a.is_grantable
    FROM pg_catalog.pg_proc p,
        pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) AS a
    WHERE a.grantee <> p.proowner AND p.prokind <> 'a' AND p.oid = ANY (%(functions)s)
) AS granted
