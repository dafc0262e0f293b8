-- What a partition of a ledger lacks. Partitions come with time, so there is no telling which the migrations make; but
-- none is written to by its own name, none is open, and all of them belong to whom the table belongs to.
WITH part AS (
    SELECT
        c.oid, c.relowner, c.relrowsecurity, c.relnamespace,
        home.relowner AS owner, home.relnamespace AS namespace, at.nspname AS schema,
        pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name
    FROM pg_catalog.pg_class home
    JOIN pg_catalog.pg_namespace at ON at.oid = home.relnamespace
    CROSS JOIN pg_catalog.pg_partition_tree(home.oid) branch
    JOIN pg_catalog.pg_class c ON c.oid = branch.relid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE home.relkind = 'p' AND NOT home.relispartition AND branch.level > 0
      AND home.oid = ANY (%(relations)s)
      AND EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = home.oid AND t.tgname = 'pgcraft_guard_truncate')
), guard (name, event, type, function) AS (
    VALUES
        ('pgcraft_guard_partition', 'INSERT OR UPDATE OR DELETE', 2 | 4 | 8 | 16, 'pgcraft_guard_partition'),
        ('pgcraft_guard_truncate', 'TRUNCATE', 2 | 32, 'pgcraft_guard')
)
SELECT
    name || ' without row-level security', 'off', NULL,
    pg_catalog.format('ALTER TABLE %%s ENABLE ROW LEVEL SECURITY', name)
FROM part
WHERE NOT relrowsecurity
UNION ALL
SELECT
    name || ' with another owner than its table', pg_catalog.pg_get_userbyid(relowner)::text, NULL,
    pg_catalog.format('ALTER TABLE %%s OWNER TO %%I', name, pg_catalog.pg_get_userbyid(owner))
FROM part
WHERE relowner <> owner
UNION ALL
SELECT
    pg_catalog.format('%%s with its trigger %%I disabled', name, t.tgname), t.tgenabled::text, NULL,
    pg_catalog.format('ALTER TABLE %%s ENABLE TRIGGER %%I', name, t.tgname)
FROM part
JOIN pg_catalog.pg_trigger t ON t.tgrelid = part.oid
LEFT JOIN pg_catalog.pg_trigger above ON above.oid = t.tgparentid
WHERE NOT t.tgisinternal AND t.tgenabled <> 'O' AND coalesce(above.tgenabled, 'O') = 'O'
UNION ALL
SELECT
    name || ' in another schema than its table', 'elsewhere', NULL,
    pg_catalog.format('ALTER TABLE %%s SET SCHEMA %%I', name, schema)
FROM part
WHERE relnamespace <> namespace
UNION ALL
SELECT
    pg_catalog.format('%%s with the trigger %%I of its own', name, t.tgname), 'there', NULL,
    pg_catalog.format('DROP TRIGGER %%I ON %%s', t.tgname, name)
FROM part
JOIN pg_catalog.pg_trigger t ON t.tgrelid = part.oid
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgname NOT IN (SELECT guard.name FROM guard)
UNION ALL
SELECT
    pg_catalog.format('%%s without the trigger %%I', part.name, guard.name), 'missing', NULL,
    pg_catalog.format(
        'CREATE OR REPLACE TRIGGER %%I BEFORE %%s ON %%s FOR EACH STATEMENT '
        'WHEN (pg_catalog.pg_partition_root(%%L) IS NOT NULL) EXECUTE FUNCTION %%I.%%I()',
        guard.name, guard.event, part.name, part.name, part.schema, guard.function
    )
FROM part
CROSS JOIN guard
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_proc f ON f.oid = t.tgfoid
    WHERE t.tgrelid = part.oid AND t.tgname = guard.name AND t.tgtype = guard.type AND t.tgattr = ''
      AND f.proname = guard.function AND f.pronamespace = part.namespace
      -- The plan says which triggers this sees, and pg_get_expr() fails for one of FOR EACH ROW that compares OLD and NEW.
      AND CASE WHEN t.tgtype & 1 = 0 THEN pg_catalog.pg_get_expr(t.tgqual, t.tgrelid) END
        = pg_catalog.format('(pg_partition_root(%%L::regclass) IS NOT NULL)', part.oid::pg_catalog.regclass)
)
