-- What a request says of the stamps of a new row does not count. Who may write all of the table brings a dump back.
BEGIN
    IF NOT pg_catalog.has_table_privilege(TG_RELID, 'INSERT') THEN
        NEW."version" := 1;
        NEW."valid_from" := pg_catalog.statement_timestamp();
    END IF;
    RETURN NEW;
END
