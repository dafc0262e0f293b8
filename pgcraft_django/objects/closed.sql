-- Whatever default privileges gave away is taken back, and without policies nobody but the owner would see a row.
FOR grantee IN
    SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::text END
    FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
    WHERE c.oid = part AND a.grantee <> c.relowner
LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM %s', part, grantee);
END LOOP;
EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', part);
-- Triggers for rows come with the table, those for statements do not. They count as long as it is a partition.
EXECUTE pg_catalog.format(
    'CREATE TRIGGER %I BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT '
    'WHEN (pg_catalog.pg_partition_root(%L) IS NOT NULL) EXECUTE FUNCTION %s()',
    {guard_partition}, part, part, {guard_partition_function}
);
EXECUTE pg_catalog.format(
    'CREATE TRIGGER %I BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
    'WHEN (pg_catalog.pg_partition_root(%L) IS NOT NULL) EXECUTE FUNCTION %s()',
    {guard_truncate}, part, part, {guard_function}
);
