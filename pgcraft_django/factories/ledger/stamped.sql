-- The time of an entry is that of the statement that adds it, whatever the statement says.
BEGIN
    IF {keeping} THEN
        RETURN NEW;
    END IF;
    NEW.created_at := pg_catalog.statement_timestamp();
    RETURN NEW;
END
