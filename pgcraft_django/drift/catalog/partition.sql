-- What a partition of a ledger lacks. Partitions come with time, so there is no telling which the migrations make; but
-- none is written to by its own name, none is open, and all of them belong to whom the table belongs to.
WITH part AS (
    SELECT c.oid, c.relowner, c.relrowsecurity, home.relowner AS owner, n.nspname AS schema, pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
    JOIN pg_catalog.pg_class home ON home.oid = i.inhparent
    WHERE c.relkind = 'r' AND c.relispartition
      AND c.oid = ANY (%(relations)s)
      AND EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = home.oid AND t.tgname = 'pgcraft_guard_truncate')
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
    pg_catalog.format('%%s without the trigger %%I', part.name, guard.name), 'missing', NULL,
    pg_catalog.format(
        'CREATE TRIGGER %%I BEFORE %%s ON %%s FOR EACH STATEMENT '
        'WHEN (pg_catalog.pg_partition_root(%%L) IS NOT NULL) EXECUTE FUNCTION %%I.%%I()',
        guard.name, guard.event, part.name, part.name, part.schema, guard.function
    )
FROM part
CROSS JOIN (VALUES
    ('pgcraft_guard_partition', 'INSERT OR UPDATE OR DELETE', 'pgcraft_guard_partition'),
    ('pgcraft_guard_truncate', 'TRUNCATE', 'pgcraft_guard')
) AS guard (name, event, function)
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = part.oid AND t.tgname = guard.name)
