-- Keep the versions that an UPDATE has ended.
BEGIN
    INSERT INTO {history} (
        {columns},
        "version", "valid_from", "valid_to", "operation", "actor", "reason"
    )
    SELECT
        {ended_columns},
        ended."version", ended."valid_from", begun."valid_from", 'update',
        {actor},
        {reason}
    FROM old_rows AS ended
    JOIN new_rows AS begun ON {same_key}
    WHERE begun."version" <> ended."version";
    RETURN NULL;
END
