-- Make the partitions of this period and of those ahead. What went into the default one meanwhile moves to its own.
DECLARE
    home CONSTANT text := pg_catalog.format('%I.%I', {schema_name}, {table_name});
    rest CONSTANT text := pg_catalog.format('%I.%I', {schema_name}, {table_name} || '_default');
    period CONSTANT interval := {interval};
    coming CONSTANT timestamptz := pg_catalog.now() + $1 * period;
    owner text;
    columns text;
    begins timestamptz;
    ends timestamptz;
    among text;
    occupied timestamptz[];
    moving text;
    part regclass;
    has_rows boolean;
    grantee text;
BEGIN
    IF $1 NOT BETWEEN 0 AND 1000 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'From 0 to 1000 periods can be made ahead.';
    END IF;
    -- One at a time: who comes second finds them made.
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('pgcraft partitions of ' || home, 0));
    -- Before the default partition, as everybody does who locks both.
    EXECUTE pg_catalog.format('LOCK TABLE ONLY %s IN ACCESS SHARE MODE', home);
    SELECT pg_catalog.pg_get_userbyid(relowner) INTO STRICT owner FROM pg_catalog.pg_class WHERE oid = home::regclass;
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ') INTO columns
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = home::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
    SELECT max((pg_catalog.regexp_match(pg_catalog.pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)'))[1]::timestamptz)
    INTO begins
    FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = home::regclass;
    IF begins IS NULL THEN
        EXECUTE pg_catalog.format('SELECT min("created_at") FROM %s', rest) INTO begins;
        begins := pg_catalog.date_trunc({unit}, least(begins, pg_catalog.now()));
    END IF;
    IF begins > coming THEN
        RETURN;
    END IF;
    among := pg_catalog.format(
        '"created_at" >= %L AND "created_at" < %L', begins, pg_catalog.date_trunc({unit}, coming) + period
    );
    EXECUTE pg_catalog.format('SELECT EXISTS (SELECT FROM %s WHERE %s)', rest, among) INTO has_rows;
    -- Who is about to add to the default partition, or to read it, waits before partitions are chosen, and then chooses
    -- the new ones, too. Later, a reader would wait for the default one, and find there what is left in it.
    EXECUTE pg_catalog.format(
        'LOCK TABLE ONLY %s IN %s MODE', home,
        CASE
            WHEN has_rows OR begins <= pg_catalog.clock_timestamp() + interval '1 minute' THEN 'ACCESS EXCLUSIVE'
            ELSE 'SHARE UPDATE EXCLUSIVE'
        END
    );
    EXECUTE pg_catalog.format(
        'SELECT pg_catalog.array_agg(DISTINCT pg_catalog.date_trunc(%L, "created_at")) FROM %s WHERE %s',
        {unit}, rest, among
    ) INTO occupied;
    IF occupied IS NOT NULL THEN
        -- By itself it has no guards, and is not read again for each partition that is attached.
        EXECUTE pg_catalog.format('ALTER TABLE %s DETACH PARTITION %s', home, rest);
        moving := 'pgcraft_' || rest::regclass::oid;
        EXECUTE pg_catalog.format('CREATE INDEX %I ON %s ("created_at")', moving, rest);
    END IF;
    WHILE begins <= coming LOOP
        ends := pg_catalog.date_trunc({unit}, begins) + period;
        IF ends > pg_catalog.now() OR pg_catalog.date_trunc({unit}, begins) = ANY (occupied) THEN
            EXECUTE pg_catalog.format(
                'CREATE TABLE %I.%I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE)',
                {schema_name}, {table_name} || pg_catalog.to_char(begins, '"_p"YYYYMMDD'), home
            );
            part := pg_catalog.format('%I.%I', {schema_name}, {table_name} || pg_catalog.to_char(begins, '"_p"YYYYMMDD'));
            EXECUTE pg_catalog.format('ALTER TABLE %s OWNER TO %I', part, owner);
            {closed}
            IF occupied IS NOT NULL THEN
                EXECUTE pg_catalog.format(
                    'WITH moved AS (DELETE FROM %3$s WHERE "created_at" >= %4$L AND "created_at" < %5$L RETURNING *) '
                    'INSERT INTO %1$s (%2$s) SELECT %2$s FROM moved',
                    part, columns, rest, begins, ends
                );
            END IF;
            EXECUTE pg_catalog.format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', home, part, begins, ends);
            RETURN NEXT part::text;
        END IF;
        begins := ends;
    END LOOP;
    IF occupied IS NOT NULL THEN
        EXECUTE pg_catalog.format('DROP INDEX %I.%I', {schema_name}, moving);
        EXECUTE pg_catalog.format('ALTER TABLE %s ATTACH PARTITION %s DEFAULT', home, rest);
    END IF;
END
