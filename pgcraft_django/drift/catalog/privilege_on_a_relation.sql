-- Privileges on tables, views and sequences, one by one. PUBLIC is everybody.
SELECT
    pg_catalog.format('%%s %%s to %%s', pg_catalog.lower(granted.privilege), granted.object, granted.grantee),
    CASE WHEN granted.is_grantable THEN 'with grant option' ELSE '' END,
    pg_catalog.format('GRANT %%s ON %%s TO %%s', granted.privilege, granted.object, granted.grantee),
    pg_catalog.format('REVOKE %%s ON %%s FROM %%s', granted.privilege, granted.object, granted.grantee)
FROM (
    SELECT
        CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END || pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS object,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::text END AS grantee,
        a.privilege_type AS privilege,
        a.is_grantable
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
        pg_catalog.aclexplode(c.relacl) AS a
    WHERE a.grantee <> c.relowner AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.oid = ANY (%(relations)s)
) AS granted
