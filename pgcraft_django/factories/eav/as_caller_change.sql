IF TG_OP = 'DELETE' THEN
    PERFORM FROM {delete}(OLD, NULL) AS gone WHERE gone;
    RETURN CASE WHEN FOUND THEN OLD END;
END IF;
IF NOT {same_key} THEN
    {refuse_other_key}
END IF;
-- This waits for whoever is changing the row. OLD is as it was before.
SELECT compared INTO entity_is FROM {lock}(OLD, NEW) AS compared;
IF entity_is IS NULL OR entity_is = 'as wanted' THEN
    RETURN NULL;
ELSIF entity_is = 'changed here' THEN
    {refuse_twice}
ELSIF entity_is = 'overtaken' THEN
    RAISE EXCEPTION USING
        ERRCODE = 'serialization_failure',
        MESSAGE = {conflict_message},
        HINT = 'Do it again, or lock the rows before: SELECT … FOR UPDATE.';
END IF;
PERFORM FROM {update}(OLD, NEW);
RETURN NEW;
