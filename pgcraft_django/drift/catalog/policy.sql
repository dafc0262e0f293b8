-- Policies.
WITH policy AS (
    SELECT
        pg_catalog.format('%%I ON %%I.%%I', p.polname, n.nspname, c.relname) AS name,
        pg_catalog.format(
            'AS %%s FOR %%s TO %%s%%s%%s',
            CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
            CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
            (
                SELECT pg_catalog.string_agg(
                    CASE role WHEN 0 THEN 'PUBLIC' ELSE role::pg_catalog.regrole::text END, ', '
                    ORDER BY role::pg_catalog.regrole::text
                )
                FROM pg_catalog.unnest(p.polroles) AS role
            ),
            ' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
            ' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')'
        ) AS definition
    FROM pg_catalog.pg_policy p
    JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = ANY (%(relations)s)
)
SELECT
    name,
    definition,
    'DROP POLICY IF EXISTS ' || name || '; CREATE POLICY ' || name || ' ' || definition,
    'DROP POLICY ' || name
FROM policy
