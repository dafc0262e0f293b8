-- Say which balance would fall below the minimum.
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'check_violation',
        MESSAGE = pg_catalog.format(
            'The balance of %s in %I would be %s; it cannot fall below %s.', $1, {ledger_name}, $2, {minimum}
        ),
        CONSTRAINT = {constraint},
        TABLE = {balance_name},
        SCHEMA = {schema_name};
END
