-- No word about what the other entry is: it may be hidden from who asks.
RAISE EXCEPTION USING
    ERRCODE = 'PT409',
    MESSAGE = pg_catalog.format(
        'The idempotency key %s belongs to another entry of %I.',
        {key_line}, {ledger_name}
    ),
    HINT = 'All legs of an entry with a key come in one statement, with one entry_id. Another entry takes another key.';
