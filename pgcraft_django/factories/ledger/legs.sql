-- Legs are objects with known names: a name that is not known would be left out without a word.
DECLARE
    unknown text;
BEGIN
    IF pg_catalog.jsonb_typeof($1) IS DISTINCT FROM 'array' OR $1 = '[]' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'The legs of an entry are an array of at least one object.',
            HINT = {example};
    END IF;
    SELECT leg::text INTO unknown
    FROM pg_catalog.jsonb_array_elements($1) AS leg
    WHERE pg_catalog.jsonb_typeof(leg) <> 'object'
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = pg_catalog.format('A leg of %I is an object, and not %s.', {ledger_name}, unknown),
            HINT = {example};
    END IF;
    SELECT name INTO unknown
    FROM pg_catalog.jsonb_array_elements($1) AS leg, pg_catalog.jsonb_object_keys(leg) AS name
    WHERE name <> ALL ({names})
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = pg_catalog.format('A leg of %I has no %s.', {ledger_name}, unknown),
            HINT = {example};
    END IF;
    {exact}
    RETURN $1;
END
