-- A history by hand, with the guarantees of PGCraftAppendOnly: versions are numbered and dated by the database, a change
-- of nothing is no version, who and why are known, periods never overlap, and nobody changes what was.
ALTER TABLE hand_private.items
    ADD version integer NOT NULL DEFAULT 1,
    ADD valid_from timestamptz NOT NULL DEFAULT statement_timestamp();

CREATE TABLE hand_private.items_history (
    id bigint NOT NULL,
    reference uuid,
    name text NOT NULL,
    city text NOT NULL,
    amount numeric(12, 2),
    number integer NOT NULL,
    is_active boolean NOT NULL,
    created_at timestamptz NOT NULL,
    version integer NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz NOT NULL,
    operation text NOT NULL,
    actor text,
    reason text,
    PRIMARY KEY (id, version)
);
CREATE INDEX ON hand_private.items_history (valid_to);

CREATE FUNCTION hand_private.actor() RETURNS text LANGUAGE sql STABLE
    RETURN coalesce(
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
        nullif(current_setting('hand.actor', true), '')
    );

CREATE FUNCTION hand_private.items_insert() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
    former record;
BEGIN
    IF EXISTS (SELECT FROM hand_private.items WHERE id = NEW.id)
        OR EXISTS (SELECT FROM hand_private.items_history WHERE id = NEW.id)
    THEN
        PERFORM FROM hand_private.items WHERE id = NEW.id FOR KEY SHARE;
        SELECT max(version) AS version, max(valid_to) AS valid_to INTO former
        FROM hand_private.items_history WHERE id = NEW.id;
        IF former.version IS NOT NULL THEN
            NEW.version := greatest(NEW.version, former.version + 1);
            NEW.valid_from := greatest(NEW.valid_from, former.valid_to);
        END IF;
    END IF;
    RETURN NEW;
END
$$;

-- Somebody else may have used the key, and given it up, after the trigger for the row has looked.
CREATE FUNCTION hand_private.items_inserted() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM new_rows AS n
        JOIN hand_private.items AS i ON i.id = n.id
        JOIN hand_private.items_history AS h ON h.id = n.id
        WHERE h.version >= i.version
    ) THEN
        RAISE EXCEPTION 'a key was used by others meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION hand_private.items_update() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    NEW.version := OLD.version;
    NEW.valid_from := OLD.valid_from;
    IF NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    IF NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'an item keeps its id' USING ERRCODE = 'restrict_violation';
    END IF;
    NEW.version := OLD.version + 1;
    NEW.valid_from := greatest(clock_timestamp(), OLD.valid_from + interval '1 microsecond');
    RETURN NEW;
END
$$;

-- Without nested loops, because the plan that a session makes for its first row has to do for 10,000.
CREATE FUNCTION hand_private.items_updated() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off
AS $$
BEGIN
    INSERT INTO hand_private.items_history
    SELECT
        o.id, o.reference, o.name, o.city, o.amount, o.number, o.is_active, o.created_at, o.version, o.valid_from,
        n.valid_from, 'update', (SELECT hand_private.actor()), nullif(current_setting('hand.reason', true), '')
    FROM old_rows AS o
    JOIN new_rows AS n ON n.id = o.id AND n.version = o.version + 1;
    RETURN NULL;
END
$$;

CREATE FUNCTION hand_private.items_deleted() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO hand_private.items_history
    SELECT
        o.id, o.reference, o.name, o.city, o.amount, o.number, o.is_active, o.created_at, o.version, o.valid_from,
        greatest(clock_timestamp(), o.valid_from + interval '1 microsecond'), 'delete', (SELECT hand_private.actor()),
        nullif(current_setting('hand.reason', true), '')
    FROM old_rows AS o;
    RETURN NULL;
END
$$;

CREATE FUNCTION hand_private.refuse() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'history is never changed' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER history_insert BEFORE INSERT ON hand_private.items
    FOR EACH ROW EXECUTE FUNCTION hand_private.items_insert();
CREATE TRIGGER history_inserted AFTER INSERT ON hand_private.items
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION hand_private.items_inserted();
CREATE TRIGGER history_update BEFORE UPDATE ON hand_private.items
    FOR EACH ROW EXECUTE FUNCTION hand_private.items_update();
CREATE TRIGGER history_updated AFTER UPDATE ON hand_private.items
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION hand_private.items_updated();
CREATE TRIGGER history_deleted AFTER DELETE ON hand_private.items
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION hand_private.items_deleted();
CREATE TRIGGER history_guard BEFORE UPDATE OR DELETE ON hand_private.items_history
    FOR EACH ROW EXECUTE FUNCTION hand_private.refuse();
CREATE TRIGGER history_guard_truncate BEFORE TRUNCATE ON hand_private.items_history
    FOR EACH STATEMENT EXECUTE FUNCTION hand_private.refuse();
