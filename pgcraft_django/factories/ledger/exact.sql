-- The column would round it, and nobody would notice.
SELECT leg ->> {value} INTO unknown
FROM pg_catalog.jsonb_array_elements($1) AS leg
WHERE pg_catalog.round((leg ->> {value})::numeric, {places}) NOT IN (
    (leg ->> {value})::numeric,
    (leg ->> {value})::float8::numeric  -- the digits that count of what a client has added up: of 0.1 + 0.2 not the last
)
LIMIT 1;
IF FOUND THEN
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = pg_catalog.format(
            '%s is no amount of %I, which has %s decimal places.', unknown, {ledger_name}, {places}
        );
END IF;
