-- Write to entities what is written to the view. What a statement does not change, it does not overwrite.
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM {entity} AS entity WHERE {is_old};
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        RETURN OLD;
    END IF;
    IF TG_OP = 'INSERT' THEN
        {new_key}
        INSERT INTO {entity} ({columns})
        VALUES ({values});
        RETURN NEW;
    END IF;

    IF {key_changed} THEN
        RAISE EXCEPTION USING
            ERRCODE = 'restrict_violation',
            MESSAGE = {key_message},
            HINT = 'Insert a row with the new key, and delete this one.';
    END IF;
    IF NOT ({changed}) THEN
        RETURN NEW;
    END IF;
    -- Where another transaction was faster, PostgreSQL looks at the row again as that has left it.
    UPDATE {entity} AS entity
    SET
        {assignments}
    WHERE {is_old}
      AND {unchanged};
    IF FOUND THEN
        RETURN NEW;
    END IF;
    IF EXISTS (SELECT FROM {entity} AS entity WHERE {is_old}) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'serialization_failure',
            MESSAGE = {conflict_message},
            HINT = 'Do it again, or lock the rows before: SELECT … FOR UPDATE.';
    END IF;
    RETURN NULL;
END
