-- One line for each attribute that a statement has changed.
BEGIN
    {unless_copied}
    INSERT INTO {log} ({key}, attribute, old_value, new_value, at, actor, reason, operation)
    SELECT
        {row_key},
        change.attribute,
        change.old_value,
        change.new_value,
        greatest(
            pg_catalog.clock_timestamp(),
            (SELECT max(earlier.at) FROM {log} AS earlier WHERE {same_key}) + interval '1 microsecond'
        ),
        {actor},
        {reason},
        {operation}
    FROM {rows}
    CROSS JOIN LATERAL (
        {changes}
    ) AS change (attribute, old_value, new_value)
    WHERE change.old_value IS DISTINCT FROM change.new_value;
    RETURN NULL;
END
