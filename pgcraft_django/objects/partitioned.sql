DECLARE
    home CONSTANT text := pg_catalog.format('%I.%I', {schema_name}, {table_name});
    old CONSTANT regclass := home;
    key text;
    made text[];
    last bigint;
    owner text;
    comment text;
    bound timestamptz;
    part regclass;
    item oid;
    grantee text;
    statement text;
BEGIN
    EXECUTE pg_catalog.format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', home);
    {noted}
    EXECUTE pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I, ALTER "id" DROP IDENTITY', home, key);
    FOR item IN SELECT indexrelid FROM pg_catalog.pg_index WHERE indrelid = old LOOP
        EXECUTE pg_catalog.format('ALTER INDEX %s RENAME TO %I', item::regclass, 'pgcraft_' || item);
    END LOOP;
    EXECUTE pg_catalog.format('ALTER TABLE %s RENAME TO %I', home, {table_name} || '_before');
    EXECUTE pg_catalog.format(
        'CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING COMMENTS '
        'INCLUDING STORAGE) PARTITION BY RANGE ("created_at")', home, old
    );
    -- ALWAYS, since no index can tell whether an id is in another partition already.
    EXECUTE pg_catalog.format(
        'ALTER TABLE %s ADD CONSTRAINT %I PRIMARY KEY ("id", "created_at"), ALTER "id" ADD GENERATED ALWAYS AS IDENTITY',
        home, key
    );
    {given}
    EXECUTE pg_catalog.format('SELECT max("created_at") FROM %s', old) INTO bound;
    IF bound IS NULL THEN
        EXECUTE pg_catalog.format('DROP TABLE %s', old);
    ELSE
        -- Until midnight it goes on to take what is booked.
        bound := pg_catalog.date_trunc('day', greatest(bound, pg_catalog.now()) + interval '1 day', 'UTC');
        EXECUTE pg_catalog.format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (MINVALUE) TO (%L)', home, old, bound);
        part := old;
        {closed}
    END IF;
    EXECUTE pg_catalog.format('CREATE TABLE %I.%I PARTITION OF %s DEFAULT', {schema_name}, {table_name} || '_default', home);
    part := pg_catalog.format('%I.%I', {schema_name}, {table_name} || '_default');
    EXECUTE pg_catalog.format('ALTER TABLE %s OWNER TO %I', part, owner);
    {closed}
END
