-- Whether the token of a request may be used. Its signature and its times are right: PostgREST has seen to that.
DECLARE
    claims jsonb := coalesce(nullif(pg_catalog.current_setting('request.jwt.claims', true), ''), '{}');
    problem text;
BEGIN
    -- Who has no token has no more than a role. A token that says no more gives no more either.
    IF claims - 'role' = '{}' AND pg_catalog.current_setting('role') = {anon} THEN
        RETURN;
    END IF;
    problem := CASE
        WHEN pg_catalog.jsonb_typeof(claims -> 'exp') IS DISTINCT FROM 'number'
            THEN 'The token has no time when it ends (exp).'
        {audience}
        WHEN claims ? 'sid' THEN
            CASE
                WHEN NOT EXISTS (SELECT FROM {table} WHERE {key} = claims ->> 'sid' AND {revoked_at} IS NULL)
                    THEN 'The login of the token has ended.'
            END
        WHEN EXISTS (SELECT FROM {table} WHERE {key} = claims ->> 'jti' AND {revoked_at} IS NOT NULL)
            THEN 'The token was revoked.'
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'PT401', MESSAGE = problem, HINT = 'Get a new token.';
    END IF;
END
