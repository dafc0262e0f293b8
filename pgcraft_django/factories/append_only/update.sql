-- Number and date the new version. Stamps that came with the statement do not count, and no change is no version.
BEGIN
    {set_generated}
    -- One look for the usual case: something changes, and it is neither the key nor the stamps.
    IF (
        {key_stays}
        AND NEW."version" OPERATOR(pg_catalog.=) OLD."version"
        AND NEW."valid_from" OPERATOR(pg_catalog.=) OLD."valid_from"
        AND NEW OPERATOR(pg_catalog.*<>) OLD
    ) IS NOT TRUE THEN
        NEW."version" := OLD."version";
        NEW."valid_from" := OLD."valid_from";
        IF NEW OPERATOR(pg_catalog.*=) OLD THEN
            RETURN NEW;
        END IF;
        IF ({key_stays}) IS NOT TRUE THEN
            RAISE EXCEPTION USING
                ERRCODE = 'restrict_violation',
                MESSAGE = pg_catalog.format('The key of a row in %I cannot change: it has a history.', TG_TABLE_NAME),
                HINT = 'Insert a row with the new key, and delete this one.';
        END IF;
    END IF;
    NEW."version" := OLD."version" OPERATOR(pg_catalog.+) 1;
    -- The clock may stand still or run backwards, and now() is the beginning of the transaction.
    NEW."valid_from" := greatest(
        pg_catalog.clock_timestamp(),
        OLD."valid_from" OPERATOR(pg_catalog.+) interval '1 microsecond'
    );
    RETURN NEW;
END
