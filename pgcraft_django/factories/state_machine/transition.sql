-- One step of one row. Of two that are asked for at the same time, the second finds that the first is done.
#variable_conflict use_column
DECLARE
    asking name := coalesce(nullif(pg_catalog.current_setting('role'), 'none'), session_user);
    caller name := {caller};
    found_state text;
    before text := pg_catalog.current_setting('pgcraft.transition', true);
    entry {log};
    shown text;
    broken text;
BEGIN
    IF {to} IS NULL OR {to} NOT IN ({states}) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = pg_catalog.format('%I have no state %s.', {shown_table}, coalesce({to}, 'NULL'));
    END IF;
    -- A request is judged by its own role, also if it gets to call this by itself and says that it is somebody else.
    IF NOT pg_catalog.has_table_privilege(asking, {table_text}, 'UPDATE') THEN
        caller := asking;
    END IF;
    IF caller IS NOT NULL THEN
        IF NOT EXISTS (
            SELECT
            FROM (VALUES
                {allowed}
            ) AS rule (role, target)
            WHERE rule.target = {to} AND pg_catalog.pg_has_role(caller, rule.role, 'USAGE')
        ) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'insufficient_privilege',
                MESSAGE = pg_catalog.format('%s may not lead %I to %s.', caller, {shown_table}, {to});
        END IF;
    END IF;

    -- Who has to wait for the lock reads the row as it is afterwards.
    SELECT entity.{state} INTO found_state FROM {table} AS entity WHERE {same_key} FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'PT404',
            MESSAGE = pg_catalog.format('There is no %I %s.', {shown_table}, coalesce({key_line}, 'of this key'));
    END IF;
    IF found_state <> {expected} THEN
        RAISE EXCEPTION USING
            ERRCODE = 'PT409',
            MESSAGE = pg_catalog.format('%I %s is now %s, not %s.', {shown_table}, {key_line}, found_state, {expected_line});
    END IF;
    -- Who does not say what they expect may have been overtaken.
    IF found_state = {to} OR ({expected} IS NULL AND (found_state, {to}) NOT IN (
        {declared}
    )) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'PT409',
            MESSAGE = pg_catalog.format('%I %s is now %s, and cannot become %s.', {shown_table}, {key_line}, found_state, {to});
    END IF;

    -- Assignments, because PERFORM would run a query for each.
    entry.reason := pg_catalog.set_config(
        'pgcraft.transition',
        pg_catalog.jsonb_build_object('of', {step}, 'reason', {reason}, 'extras', {extras})::text,
        true
    );
    IF caller IS NULL THEN
        {change}
    ELSE
        -- The detail of an error has values of the row, also hidden ones: this runs as the owner. For a request alone,
        -- because to catch it takes a subtransaction.
        BEGIN
            {change}
        EXCEPTION WHEN not_null_violation OR check_violation OR unique_violation OR exclusion_violation THEN
            GET STACKED DIAGNOSTICS shown = PG_EXCEPTION_DETAIL, broken = CONSTRAINT_NAME;
            IF shown = '' THEN
                RAISE;
            END IF;
            RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, CONSTRAINT = broken;
        END;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = pg_catalog.format(
                '%I %s stayed %s: a trigger or policy of its own holds it.', {shown_table}, {key_text}, found_state
            );
    END IF;
    before := pg_catalog.set_config('pgcraft.transition', coalesce(before, ''), true);

    SELECT * INTO entry
    FROM {log} AS earlier
    {latest};
    RETURN entry;
END
