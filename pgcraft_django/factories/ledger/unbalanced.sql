-- Entries that this statement has left unbalanced are looked at again when the transaction ends.
BEGIN
    -- The legs of a dump may come one by one.
    IF {restoring} THEN
        RETURN NULL;
    END IF;
    INSERT INTO {pending} ("entry_id")
    SELECT "entry_id"
    FROM new_rows
    GROUP BY "entry_id"
    HAVING sum({amount}) <> 0
    ORDER BY "entry_id"
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
