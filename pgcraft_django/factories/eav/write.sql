-- Write to entities what is written to the view. What a statement does not change, it does not overwrite.
DECLARE
    entity {entity};
    is_changed boolean := false;
    is_overtaken boolean := false;
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM {entity} AS gone WHERE gone.{key} = OLD.{key};
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        RETURN OLD;
    END IF;
    IF TG_OP = 'INSERT' THEN
        {new_key}
        INSERT INTO {entity} (
            {columns}
        )
        VALUES (
            {values}
        );
        RETURN NEW;
    END IF;

    -- This waits for whoever is changing the row, and then has it as they left it. OLD is as it was before.
    SELECT * INTO entity FROM {entity} AS found WHERE found.{key} = OLD.{key} FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    {changes}
    IF is_overtaken THEN
        IF NOT {changed_here} THEN
            RAISE EXCEPTION USING
                ERRCODE = 'serialization_failure',
                MESSAGE = {conflict_message},
                HINT = 'Do it again, or lock the rows before: SELECT … FOR UPDATE.';
        END IF;
        -- The statement has found the row more than once. Where all say the same, a table takes one of them, too.
        IF NOT is_changed THEN
            RETURN NULL;
        END IF;
        {refuse_twice}
    END IF;
    IF is_changed THEN
        UPDATE {entity} AS found
        SET
            {assignments}
        WHERE found.{key} = OLD.{key};
    END IF;
    RETURN NEW;
END
