-- Keep the versions that a DELETE has ended.
BEGIN
    INSERT INTO {history} (
        {columns},
        "version", "valid_from", "valid_to", "operation", "actor", "reason"
    )
    SELECT
        {ended_columns},
        ended."version", ended."valid_from",
        greatest(clock_timestamp(), ended."valid_from" + interval '1 microsecond'), 'delete',
        (SELECT {actor}),
        {reason}
    FROM old_rows AS ended;
    RETURN NULL;
END
