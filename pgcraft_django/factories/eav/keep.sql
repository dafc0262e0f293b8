-- The attributes of an entity keep the rules.
BEGIN
    {rules}
    RETURN NEW;
END
