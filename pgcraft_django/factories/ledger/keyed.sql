-- A key belongs to one entry. What comes with it again is left out if it is the same, and refused if it is not.
DECLARE
    kept {keys};
    leg_id bigint;
BEGIN
    INSERT INTO {keys} ("idempotency_key", "entry_id", "created_at")
    VALUES (NEW."idempotency_key", NEW."entry_id", NEW."created_at")
    ON CONFLICT ("idempotency_key") DO NOTHING;
    IF FOUND THEN
        RETURN NEW;
    END IF;
    -- Whoever had the key has committed by now: this statement sees it.
    SELECT * INTO STRICT kept FROM {keys} AS known WHERE known."idempotency_key" = NEW."idempotency_key";
    IF kept."entry_id" = NEW."entry_id" AND kept."created_at" = NEW."created_at" THEN
        RETURN NEW;  -- another leg, of the same statement
    END IF;
    -- Legs mostly come again in their order: the next one is looked for after the last one first. The OFFSET keeps
    -- PostgreSQL from looking through all legs of the entry, which it takes for one.
    SELECT leg."id" INTO leg_id
    FROM (
        SELECT *
        FROM {table} AS following
        WHERE following."id" = nullif(pg_catalog.current_setting('pgcraft.repeated', true), '')::bigint + 1{following_of_time}
        OFFSET 0
    ) AS leg
    WHERE {same}
    LIMIT 1;
    IF NOT FOUND THEN
        SELECT leg."id" INTO leg_id
        FROM {table} AS leg
        WHERE {same}
        LIMIT 1;
    END IF;
    IF FOUND THEN
        PERFORM pg_catalog.set_config('pgcraft.repeated', leg_id::text, true);
        RETURN NULL;
    END IF;
    {conflict}
END
