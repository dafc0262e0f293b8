-- A definition stays as it is while there are values of it.
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.name, OLD.type) = (NEW.name, NEW.type) THEN
        RETURN NEW;
    END IF;
    IF EXISTS (SELECT FROM {entity} AS entity WHERE {extra} ? OLD.name) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'restrict_violation',
            MESSAGE = pg_catalog.format('%I is in use, so its definition stays.', OLD.name),
            HINT = 'Take it from all rows first.';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
