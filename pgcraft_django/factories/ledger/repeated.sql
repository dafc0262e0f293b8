-- The legs that were there before have been found to be the same; there must be as many.
DECLARE
    there bigint;
BEGIN
    SELECT count(*) INTO there FROM {table} AS leg WHERE leg."idempotency_key" = $1 AND leg."entry_id" = (
        SELECT known."entry_id" FROM {keys} AS known WHERE known."idempotency_key" = $1
    );
    IF there <> $2 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'PT409',
            MESSAGE = pg_catalog.format(
                'The idempotency key %s belongs to an entry of %I that has %s legs and not %s.',
                {key_line}, {ledger_name}, there, $2
            );
    END IF;
    RETURN (SELECT known."entry_id" FROM {keys} AS known WHERE known."idempotency_key" = $1);
END
