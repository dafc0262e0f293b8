-- COPY is how a dump comes back, and the log comes with it.
IF pg_catalog.left(pg_catalog.current_query(), 100) ~* '^\s*copy\s' THEN
    PERFORM pg_catalog.pg_stat_clear_snapshot();
    IF EXISTS (
        SELECT FROM pg_catalog.pg_stat_progress_copy AS progress
        WHERE progress.pid = pg_catalog.pg_backend_pid() AND coalesce(progress.relid, TG_RELID) = TG_RELID
    ) THEN
        RETURN NULL;
    END IF;
END IF;
