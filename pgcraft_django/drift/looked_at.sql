-- What is looked at: all that is in the schemas, and the tables that are named. Not what an extension brings, and not
-- what PostgreSQL makes as a part of something else, such as the constructors of a range type.
SELECT
    ARRAY(
        SELECT c.oid
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE (n.nspname = ANY (%(schemas)s) OR n.nspname || '.' || c.relname = ANY (%(tables)s)) AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_depend d
            WHERE (d.classid, d.objid) = ('pg_catalog.pg_class'::pg_catalog.regclass, c.oid) AND d.deptype = 'e'
        )
    )::text,
    ARRAY(
        SELECT p.oid
        FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = ANY (%(schemas)s) AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_depend d
            WHERE (d.classid, d.objid) = ('pg_catalog.pg_proc'::pg_catalog.regclass, p.oid) AND d.deptype IN ('e', 'i')
        )
    )::text
