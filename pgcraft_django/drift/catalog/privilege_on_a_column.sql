-- Privileges on columns, one by one.
SELECT
    pg_catalog.format('%%s %%s.%%I to %%s', pg_catalog.lower(granted.privilege), granted.object, granted.attname, granted.grantee),
    CASE WHEN granted.is_grantable THEN 'with grant option' ELSE '' END,
    pg_catalog.format('GRANT %%s (%%I) ON %%s TO %%s', granted.privilege, granted.attname, granted.object, granted.grantee),
    pg_catalog.format('REVOKE %%s (%%I) ON %%s FROM %%s', granted.privilege, granted.attname, granted.object, granted.grantee)
FROM (
    SELECT
        pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS object,
        t.attname,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::text END AS grantee,
        a.privilege_type AS privilege,
        a.is_grantable
    FROM pg_catalog.pg_attribute t
    JOIN pg_catalog.pg_class c ON c.oid = t.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
        pg_catalog.aclexplode(t.attacl) AS a
    WHERE NOT t.attisdropped AND c.oid = ANY (%(relations)s)
) AS granted
