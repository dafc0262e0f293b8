-- What the new table is to have under the names of the old one.
SELECT coalesce(pg_catalog.array_agg(needed.made ORDER BY needed.made), '{}') INTO made FROM (
    SELECT pg_catalog.format('CREATE INDEX %I ON %s', i.relname, home) || pg_catalog.substr(
        pg_catalog.pg_get_indexdef(i.oid),
        pg_catalog.length(
            pg_catalog.format('CREATE INDEX %I ON %s%s', i.relname, CASE i.relkind WHEN 'I' THEN 'ONLY ' ELSE '' END, home)
        ) + 1
    ) AS made
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = old AND NOT x.indisunique
    UNION ALL
    SELECT pg_catalog.format('ALTER TABLE %s ADD CONSTRAINT %I %s', home, o.conname, pg_catalog.pg_get_constraintdef(o.oid))
    FROM pg_catalog.pg_constraint o
    WHERE o.conrelid = old AND o.contype = 'f' AND o.conparentid = 0
) AS needed;
SELECT o.conname INTO STRICT key FROM pg_catalog.pg_constraint o WHERE o.conrelid = old AND o.contype = 'p';
EXECUTE pg_catalog.format(
    'SELECT greatest(pg_catalog.pg_sequence_last_value(%L), max("id")) FROM %s',
    pg_catalog.pg_get_serial_sequence(home, 'id'), home
) INTO last;
SELECT pg_catalog.pg_get_userbyid(c.relowner), pg_catalog.obj_description(c.oid, 'pg_class') INTO owner, comment
FROM pg_catalog.pg_class c WHERE c.oid = old;
