-- Each leg has been found among those that were there before; there must be as many, of each.
#variable_conflict use_variable
DECLARE
    kept uuid := (SELECT known."entry_id" FROM {keys} AS known WHERE known."idempotency_key" = $1);
    there bigint;
BEGIN
    SELECT count(*) INTO there
    FROM {table} AS leg
    WHERE leg."idempotency_key" = $1 AND leg."entry_id" = kept;
    -- NULL for legs comes from who does not see the entry: they hear the same as if theirs were other ones.
    IF there IS DISTINCT FROM pg_catalog.jsonb_array_length($2) OR EXISTS (
        SELECT
        FROM (
            SELECT sent.content, count(*) AS times
            FROM pg_catalog.jsonb_array_elements($2) AS sent (content)
            GROUP BY sent.content
        ) AS asked
        LEFT JOIN (
            SELECT {content} AS content, count(*) AS times
            FROM {table} AS leg
            WHERE leg."idempotency_key" = $1 AND leg."entry_id" = kept
            GROUP BY {content}
        ) AS booked ON booked.content = asked.content
        WHERE asked.times > 1 AND asked.times > coalesce(booked.times, 0)
    ) THEN
        {conflict}
    END IF;
    RETURN kept;
END
