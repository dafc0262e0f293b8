-- One line for each attribute of the row that has changed.
DECLARE
    attributes text[];
    old_values jsonb[];
    new_values jsonb[];
BEGIN
    -- The log of a dump comes with it.
    IF TG_OP = 'INSERT' AND (
        {restoring}
    ) THEN
        RETURN NULL;
    END IF;

    IF TG_OP = 'UPDATE' AND OLD.{key} <> NEW.{key} THEN
        {refuse_other_key}
    END IF;
    {changes}
    IF attributes IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO {log} ({key}, attribute, old_value, new_value, at, actor, reason, operation)
    SELECT
        {row_key},
        change.attribute,
        change.old_value,
        change.new_value,
        -- The clock may stand still or run backwards.
        (
            SELECT greatest(pg_catalog.clock_timestamp(), max(earlier.at) + interval '1 microsecond')
            FROM {log} AS earlier
            WHERE earlier.{key} = {row_key}
        ),
        {actor},
        {reason},
        pg_catalog.lower(TG_OP)
    FROM unnest(attributes, old_values, new_values) AS change (attribute, old_value, new_value);
    RETURN NULL;
END
