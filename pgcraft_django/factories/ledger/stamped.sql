-- The time of an entry is that of the statement that adds it, whatever the statement says.
BEGIN
    -- COPY is how a dump comes back: with the times that the entries had.
    IF pg_catalog.left(pg_catalog.current_query(), 100) ~* '^\s*copy\s' THEN
        IF EXISTS (
            SELECT FROM pg_catalog.pg_stat_progress_copy AS progress
            WHERE progress.pid = pg_catalog.pg_backend_pid() AND coalesce(progress.relid, TG_RELID) = TG_RELID
        ) THEN
            RETURN NEW;
        END IF;
        -- What a session knows of itself can be older than the COPY.
        PERFORM pg_catalog.pg_stat_clear_snapshot();
        IF EXISTS (
            SELECT FROM pg_catalog.pg_stat_progress_copy AS progress
            WHERE progress.pid = pg_catalog.pg_backend_pid() AND coalesce(progress.relid, TG_RELID) = TG_RELID
        ) THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.created_at := pg_catalog.statement_timestamp();
    RETURN NEW;
END
