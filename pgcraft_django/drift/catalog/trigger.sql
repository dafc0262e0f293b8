-- Triggers, and whether they fire.
SELECT
    pg_catalog.format('%%I ON %%I.%%I', t.tgname, n.nspname, c.relname),
    pg_catalog.pg_get_triggerdef(t.oid)
        || CASE t.tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ' (disabled)' ELSE ' (' || t.tgenabled::text || ')' END,
    pg_catalog.format(
        'DROP TRIGGER IF EXISTS %%I ON %%I.%%I; %%s', t.tgname, n.nspname, c.relname, pg_catalog.pg_get_triggerdef(t.oid)
    ),
    pg_catalog.format('DROP TRIGGER %%I ON %%I.%%I', t.tgname, n.nspname, c.relname)
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND NOT c.relispartition AND c.oid = ANY (%(relations)s)
