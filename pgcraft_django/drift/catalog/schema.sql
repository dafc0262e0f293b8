-- Schemas and their owners.
SELECT
    pg_catalog.format('%%I', n.nspname),
    pg_catalog.pg_get_userbyid(n.nspowner)::text,
    pg_catalog.format('ALTER SCHEMA %%I OWNER TO %%I', n.nspname, pg_catalog.pg_get_userbyid(n.nspowner)),
    NULL
FROM pg_catalog.pg_namespace n
WHERE n.nspname = ANY (%(schemas)s)
