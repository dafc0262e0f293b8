EXECUTE pg_catalog.format('ALTER TABLE %s OWNER TO %I', home, owner);
EXECUTE pg_catalog.format('COMMENT ON TABLE %s IS %L', home, comment);
PERFORM pg_catalog.setval(pg_catalog.pg_get_serial_sequence(home, 'id'), last) WHERE last IS NOT NULL;
FOREACH statement IN ARRAY made LOOP
    EXECUTE statement;
END LOOP;
