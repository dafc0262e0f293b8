-- All else that a schema can hold, by PostgreSQL's own list of what depends on it: types, sequences, operators,
-- collations … Each is a kind of its own. Not what is part of something else, such as the sequence of an identity
-- column, and not what an extension brings. The extension itself may hold rows: it is moved away, and not dropped.
SELECT
    thing.type,
    thing.identity,
    '',
    NULL,
    CASE thing.type
        WHEN 'extension' THEN (
            SELECT 'ALTER EXTENSION ' || thing.identity || ' SET SCHEMA public'
            FROM pg_catalog.pg_extension e
            WHERE e.oid = d.objid AND e.extrelocatable
        )
        WHEN 'aggregate' THEN 'DROP ROUTINE ' || thing.identity
        WHEN 'statistics object' THEN 'DROP STATISTICS ' || thing.identity
        ELSE 'DROP ' || pg_catalog.upper(thing.type) || ' ' || thing.identity
    END
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_namespace n ON (d.refclassid, d.refobjid) = ('pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid)
CROSS JOIN pg_catalog.pg_identify_object(d.classid, d.objid, 0) AS thing
WHERE n.nspname = ANY (%(schemas)s) AND d.deptype = 'n'
  -- These have files of their own.
  AND thing.type NOT IN ('table', 'foreign table', 'view', 'materialized view', 'function', 'procedure')
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend whole
      WHERE (whole.classid, whole.objid) = (d.classid, d.objid)
        AND (whole.deptype IN ('e', 'i') OR (whole.deptype = 'a' AND thing.type = 'sequence'))
  )
