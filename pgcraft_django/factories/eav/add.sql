-- A row of the view is an entity. Its key is not to be seen here.
BEGIN
    INSERT INTO {entity} ({columns})
    VALUES ({values});
    RETURN NEW;
END
