-- Each leg has been found among those that were there before; there must be as many, of each.
DECLARE
    kept uuid := (SELECT known."entry_id" FROM {keys} AS known WHERE known."idempotency_key" = $1);
    there bigint;
BEGIN
    SELECT count(*) INTO there
    FROM {table} AS leg
    WHERE leg."idempotency_key" = $1 AND leg."entry_id" = kept;
    IF there <> pg_catalog.jsonb_array_length($2) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'PT409',
            MESSAGE = pg_catalog.format(
                'The idempotency key %s belongs to an entry of %I that has %s legs and not %s.',
                {key_line}, {ledger_name}, there, pg_catalog.jsonb_array_length($2)
            );
    END IF;
    IF EXISTS (
        SELECT FROM pg_catalog.jsonb_array_elements($2) AS sent (content)
        GROUP BY sent.content
        HAVING count(*) > 1 AND count(*) > (
            SELECT count(*)
            FROM {table} AS leg
            WHERE leg."idempotency_key" = $1 AND leg."entry_id" = kept AND {content} = sent.content
        )
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'PT409',
            MESSAGE = pg_catalog.format(
                'The idempotency key %s belongs to the entry %s of %I, which has other legs.',
                {key_line}, kept, {ledger_name}
            );
    END IF;
    RETURN kept;
END
