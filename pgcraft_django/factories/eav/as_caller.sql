-- Write as who asks: row-level security of the table behind the view decides. The functions do no more than the view.
DECLARE
    entity_is text;
BEGIN
    -- Called in FROM, a function is planned for each call. Otherwise PostgreSQL 17 and older keep its plan until the
    -- transaction ends, with the policies of who came first, be it another role.
    IF TG_OP = 'INSERT' THEN
        {insert}
        RETURN NEW;
    END IF;
    {change}
END
