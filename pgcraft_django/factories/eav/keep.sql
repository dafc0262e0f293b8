-- The key of an entity stays as it is, and its attributes keep the rules.
BEGIN
    IF TG_OP = 'UPDATE' AND {key_changed} THEN
        RAISE EXCEPTION USING
            ERRCODE = 'restrict_violation',
            MESSAGE = {key_message},
            HINT = 'Insert a row with the new key, and delete this one.';
    END IF;
    {rules}
    RETURN NEW;
END
