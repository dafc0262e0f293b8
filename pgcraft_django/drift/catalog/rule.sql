-- Rules, other than those that make views.
SELECT
    pg_catalog.format('%%I ON %%I.%%I', r.rulename, n.nspname, c.relname),
    pg_catalog.pg_get_ruledef(r.oid),
    pg_catalog.replace(pg_catalog.pg_get_ruledef(r.oid), 'CREATE RULE', 'CREATE OR REPLACE RULE'),
    pg_catalog.format('DROP RULE %%I ON %%I.%%I', r.rulename, n.nspname, c.relname)
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE r.rulename <> '_RETURN' AND c.oid = ANY (%(relations)s)
