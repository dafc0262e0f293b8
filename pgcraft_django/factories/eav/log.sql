-- One line for each attribute of the row that has changed.
DECLARE
    attributes text[];
    old_values jsonb[];
    new_values jsonb[];
    latest record;
BEGIN
    -- The log of a dump comes with it.
    IF TG_OP = 'INSERT' AND (
        {restoring}
    ) THEN
        RETURN NULL;
    END IF;

    IF TG_OP = 'UPDATE' AND OLD.{key} <> NEW.{key} THEN
        {refuse_other_key}
    END IF;
    SELECT earlier.step, earlier.at INTO latest
    FROM {log} AS earlier
    WHERE earlier.{key} = {row_key}
    ORDER BY earlier.step DESC
    LIMIT 1;
    IF TG_OP = 'INSERT' AND latest.step IS NOT NULL THEN
        UPDATE {log} AS line SET former = true WHERE line.{key} = {row_key} AND NOT line.former;
    END IF;
    {changes}
    IF attributes IS NULL THEN
        -- A transaction that keeps its snapshot does not see the lines that others have added since. So it tries to take
        -- the place of the next one: where that is taken, PostgreSQL refuses it, and otherwise the attempt is undone.
        IF TG_OP = 'INSERT'
            AND pg_catalog.current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
        THEN
            BEGIN
                INSERT INTO {log} ({key}, step, attribute, at, operation)
                VALUES ({row_key}, coalesce(latest.step, 0) + 1, '', pg_catalog.clock_timestamp(), 'insert');
                RAISE EXCEPTION USING ERRCODE = 'triggered_action_exception';
            EXCEPTION
                WHEN triggered_action_exception THEN NULL;
            END;
        END IF;
        RETURN NULL;
    END IF;
    INSERT INTO {log} ({key}, step, attribute, old_value, new_value, at, actor, reason, operation)
    SELECT
        {row_key},
        coalesce(latest.step, 0) + change.number,
        change.attribute,
        change.old_value,
        change.new_value,
        -- The clock may stand still or run backwards.
        greatest(pg_catalog.clock_timestamp(), latest.at + interval '1 microsecond'),
        {actor},
        {reason},
        pg_catalog.lower(TG_OP)
    FROM unnest(attributes, old_values, new_values) WITH ORDINALITY AS change (
        attribute, old_value, new_value, number
    );
    RETURN NULL;
END
