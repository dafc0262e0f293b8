-- The time of an entry is that of the statement that adds it. Another one has led to another partition.
BEGIN
    IF {restoring} THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = pg_catalog.format('An entry of %I comes with a created_at, which PostgreSQL sets.', TG_TABLE_NAME),
        HINT = 'Leave created_at out.';
END
