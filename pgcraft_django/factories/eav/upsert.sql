-- Each row is updated where its key, or a unique attribute, is there already, and inserted where it is not.
#variable_conflict use_variable
DECLARE
    given_rows jsonb := CASE WHEN pg_catalog.jsonb_typeof($1) = 'array' THEN $1 ELSE pg_catalog.jsonb_build_array($1) END;
    item jsonb;
    unknown text;
    given {view};
    saved {view};
BEGIN
    FOR item IN SELECT element.value FROM pg_catalog.jsonb_array_elements(given_rows) AS element (value) LOOP
        IF pg_catalog.jsonb_typeof(item) IS DISTINCT FROM 'object' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'invalid_parameter_value',
                MESSAGE = 'An upsert takes an object of columns and values, or an array of such objects.';
        END IF;
        SELECT named.key INTO unknown
        FROM pg_catalog.jsonb_object_keys(item) AS named (key)
        WHERE named.key NOT IN ({names});
        IF FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = 'undefined_column',
                MESSAGE = pg_catalog.format('There is no column %I in %I.', unknown, {shown_view});
        END IF;
        given := pg_catalog.jsonb_populate_record(NULL::{view}, item);

        FOR attempt IN 1..3 LOOP
            {updates}
            EXIT WHEN FOUND;
            BEGIN
                INSERT INTO {view} (
                    {columns}
                )
                VALUES (
                    {values}
                )
                RETURNING * INTO saved;
                EXIT;
            EXCEPTION
                -- Somebody else may have inserted it in this moment. Or it is another row's value.
                WHEN unique_violation THEN
                    IF attempt = 3 THEN
                        RAISE;
                    END IF;
            END;
        END LOOP;
        RETURN NEXT saved;
    END LOOP;
END
