-- A key belongs to one entry. What comes with it again is left out if it is the same, and refused if it is not.
DECLARE
    kept {keys};
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
    IF EXISTS (
        SELECT FROM {table} AS leg
        WHERE leg."entry_id" = kept."entry_id" AND leg."idempotency_key" = NEW."idempotency_key"
            AND {content_of_leg} = {content_of_new}
    ) THEN
        RETURN NULL;
    END IF;
    {conflict}
END
