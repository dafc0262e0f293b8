-- A row keeps its key, goes from state to state as declared, and each step is a line of its log.
#variable_conflict use_column
DECLARE
    context jsonb := nullif(pg_catalog.current_setting('pgcraft.transition', true), '');
    given_reason text;
    {given}
BEGIN
    IF {key_changed} THEN
        RAISE EXCEPTION USING
            ERRCODE = 'restrict_violation',
            MESSAGE = pg_catalog.format('A row of %I keeps its key: the log of its states is told by it.', TG_TABLE_NAME),
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
    END IF;
    IF {step_taken} NOT IN (
        {declared}
    ) OR NEW.{state} IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = pg_catalog.format(
                '%I %s is %s, and cannot become %s.',
                TG_TABLE_NAME, {key_text}, OLD.{state}, coalesce(NEW.{state}, 'NULL')
            ),
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = {column};
    END IF;
    IF (  -- in parentheses, because it has THEN of its own
        {unmet}
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = pg_catalog.format(
                '%I %s cannot become %s as it is: the condition for that is not met.',
                TG_TABLE_NAME, {key_text}, NEW.{state}
            ),
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = {column};
    END IF;

    -- What transition functions say about this very step.
    IF context IS NOT NULL THEN
        IF context -> 'of' = {step} THEN
            given_reason := context ->> 'reason';
            {take_extras}
        END IF;
    END IF;
    INSERT INTO {log} ({key}, step, from_state, to_state, at, actor, reason{extras})
    SELECT
        {new_key},
        coalesce(latest.step, 0) + 1,
        OLD.{state},
        NEW.{state},
        greatest(pg_catalog.clock_timestamp(), latest.at + interval '1 microsecond'),
        {actor},
        coalesce(given_reason, {reason}){extra_values}
    FROM (VALUES (1)) AS once
    LEFT JOIN LATERAL (
        SELECT earlier.step, earlier.at
        FROM {log} AS earlier
        {latest}
    ) AS latest ON true;
    RETURN NULL;
END
