-- Whether the token of a request may be used. Its signature and its times are right: PostgREST has seen to that.
DECLARE
    claims jsonb := coalesce(nullif(pg_catalog.current_setting('request.jwt.claims', true), ''), '{}');
    has_login boolean := claims ? 'sid';
    is_valid boolean;
    problem text;
BEGIN
    -- Who has no token has no more than a role. A token that says no more gives no more either.
    IF claims - 'role' = '{}' AND pg_catalog.current_setting('role') = {anon} THEN
        RETURN;
    END IF;
    -- One row, by its key: the login; or, for a token without one, itself, which is here only if it was revoked.
    SELECT login.{revoked_at} IS NULL INTO is_valid
    FROM {table} AS login
    WHERE login.{key} = CASE WHEN has_login THEN claims ->> 'sid' ELSE claims ->> 'jti' END;
    problem := CASE
        WHEN pg_catalog.jsonb_typeof(claims -> 'exp') IS DISTINCT FROM 'number'
            THEN 'The token has no time when it ends (exp).'
        {audience}
        WHEN has_login AND is_valid IS NOT TRUE THEN 'The login of the token has ended.'
        WHEN is_valid IS FALSE THEN 'The token was revoked.'
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'PT401', MESSAGE = problem, HINT = 'Get a new token.';
    END IF;
END
