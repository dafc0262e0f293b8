-- Constraints of tables. Behind a foreign key are triggers: DISABLE TRIGGER ALL switches them off, too.
SELECT
    pg_catalog.format('%%I ON %%I.%%I', o.conname, n.nspname, c.relname),
    pg_catalog.pg_get_constraintdef(o.oid) || CASE
        WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgconstraint = o.oid AND tgenabled <> 'O') THEN ' (disabled)'
        ELSE ''
    END,
    pg_catalog.format(
        'ALTER TABLE %%I.%%I DROP CONSTRAINT IF EXISTS %%I, ADD CONSTRAINT %%3$I %%s',
        n.nspname, c.relname, o.conname, pg_catalog.pg_get_constraintdef(o.oid)
    ),
    pg_catalog.format('ALTER TABLE %%I.%%I DROP CONSTRAINT %%I', n.nspname, c.relname, o.conname)
FROM pg_catalog.pg_constraint o
JOIN pg_catalog.pg_class c ON c.oid = o.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE o.contype <> 'n' AND o.conislocal AND NOT c.relispartition AND c.oid = ANY (%(relations)s)
