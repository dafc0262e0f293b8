-- What is in "extra" has been defined, and each value is of the type that its definition says.
DECLARE
    entry record;
BEGIN
    -- The rows of a dump may come back before the definitions.
    IF (TG_OP = 'UPDATE' AND {is_same}) OR (
        {restoring}
    ) THEN
        RETURN NEW;
    END IF;
    IF pg_catalog.jsonb_typeof({extra}) <> 'object' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'extra is an object of names and values.',
            SCHEMA = {schema}, TABLE = {table}, COLUMN = 'extra';
    END IF;
    -- Nobody changes the definitions before the values are there to be seen.
    PERFORM FROM {definitions} AS definition WHERE {extra} ? definition.name FOR SHARE;
    FOR entry IN
        SELECT given.key, given.value, definition.type
        FROM pg_catalog.jsonb_each({extra}) AS given
        LEFT JOIN {definitions} AS definition ON definition.name = given.key
    LOOP
        IF entry.type IS NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = 'check_violation',
                MESSAGE = pg_catalog.format('%I is not defined for %I.', entry.key, {table}),
                HINT = pg_catalog.format('The definitions are in %I.', {shown_definitions}),
                SCHEMA = {schema}, TABLE = {table}, COLUMN = 'extra';
        END IF;
        IF NOT (CASE entry.type  -- in parentheses, because it has THEN of its own
            WHEN 'text' THEN pg_catalog.jsonb_typeof(entry.value) = 'string'
            WHEN 'number' THEN pg_catalog.jsonb_typeof(entry.value) = 'number'
            WHEN 'integer' THEN entry.value::text ~ '^-?\d+$'
            WHEN 'boolean' THEN pg_catalog.jsonb_typeof(entry.value) = 'boolean'
            WHEN 'date' THEN entry.value::text ~ '^"\d\d\d\d-\d\d-\d\d"$' AND (entry.value #>> '{}')::date IS NOT NULL
            WHEN 'datetime' THEN entry.value::text ~ '^"\d\d\d\d-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)"$'
                AND (entry.value #>> '{}')::timestamptz IS NOT NULL
        END) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'check_violation',
                MESSAGE = pg_catalog.format('%s is no %s, which %I has to be.', entry.value, entry.type, entry.key),
                SCHEMA = {schema}, TABLE = {table}, COLUMN = 'extra';
        END IF;
    END LOOP;
    RETURN NEW;
END
