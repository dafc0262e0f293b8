-- Each leg has been found among those that were there before; there must be as many, of each.
DECLARE
    kept uuid := (SELECT known."entry_id" FROM {keys} AS known WHERE known."idempotency_key" = $1);
    there bigint;
BEGIN
    SELECT count(*) INTO there
    FROM {table} AS leg
    WHERE leg."idempotency_key" = $1 AND leg."entry_id" = kept;
    -- NULL for legs comes from who does not see the entry: they hear the same as if theirs were other ones.
    IF there IS DISTINCT FROM pg_catalog.jsonb_array_length($2) OR EXISTS (
        SELECT FROM pg_catalog.jsonb_array_elements($2) AS sent (content)
        GROUP BY sent.content
        HAVING count(*) > 1 AND count(*) > (
            SELECT count(*)
            FROM {table} AS leg
            WHERE leg."idempotency_key" = $1 AND leg."entry_id" = kept AND {content} = sent.content
        )
    ) THEN
        {conflict}
    END IF;
    RETURN kept;
END
