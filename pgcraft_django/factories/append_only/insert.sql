-- A key that lived before goes on where its history ends: with the next version, and not before the last one's end.
DECLARE
    former record;
BEGIN
    -- What a request says of the stamps does not count. Who may write all of the table brings a dump back.
    IF (NEW."version" IS DISTINCT FROM 1 OR NEW."valid_from" IS DISTINCT FROM statement_timestamp())
        AND NOT has_table_privilege({caller}, TG_RELID, 'INSERT')
    THEN
        NEW."version" := 1;
        NEW."valid_from" := statement_timestamp();
    END IF;
    -- One look for the usual case, a key that is new.
    IF EXISTS (SELECT FROM {table} AS entity WHERE {entity_is_new})
        OR EXISTS (SELECT FROM {history} AS history WHERE {history_is_new})
    THEN
        -- A transaction that is deleting the row has to end first: its history is not to be seen before.
        PERFORM FROM {table} AS entity WHERE {entity_is_new} FOR KEY SHARE;
        SELECT max(history."version") AS "version", max(history."valid_to") AS "valid_to"
        INTO former
        FROM {history} AS history
        WHERE {history_is_new};
        IF former."version" IS NOT NULL THEN
            NEW."version" := greatest(NEW."version", former."version" + 1);
            NEW."valid_from" := greatest(NEW."valid_from", former."valid_to");
        END IF;
    END IF;
    RETURN NEW;
END
