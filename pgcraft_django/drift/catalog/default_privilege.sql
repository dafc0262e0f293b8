-- What ALTER DEFAULT PRIVILEGES gives away of things to come.
SELECT
    pg_catalog.format(
        '%%s on future %%s of %%s%%s to %%s', pg_catalog.lower(given.privilege), given.kind, given.maker, given.place, given.grantee
    ),
    '',
    pg_catalog.format(
        'ALTER DEFAULT PRIVILEGES FOR ROLE %%s%%s GRANT %%s ON %%s TO %%s',
        given.maker, given.place, given.privilege, given.kind, given.grantee
    ),
    pg_catalog.format(
        'ALTER DEFAULT PRIVILEGES FOR ROLE %%s%%s REVOKE %%s ON %%s FROM %%s',
        given.maker, given.place, given.privilege, given.kind, given.grantee
    )
FROM (
    SELECT
        d.defaclrole::pg_catalog.regrole::text AS maker,
        coalesce(pg_catalog.format(' IN SCHEMA %%I', n.nspname), '') AS place,
        CASE d.defaclobjtype
            WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS'
        END AS kind,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::text END AS grantee,
        a.privilege_type AS privilege
    FROM pg_catalog.pg_default_acl d
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace,
        pg_catalog.aclexplode(d.defaclacl) AS a
    WHERE a.grantee <> d.defaclrole
      AND (n.nspname IS NULL OR n.nspname = ANY (%(schemas)s))
) AS given
