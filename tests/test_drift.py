"""`pgcraft_drift`: every way to leave what the migrations made is found, and mended by the SQL that it prints."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps.registry import Apps
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connections, models

from pgcraft_django.api import API
from pgcraft_django.conf import get_config
from pgcraft_django.drift import scratch
from pgcraft_django.drift.comparing import Difference, differences
from pgcraft_django.drift.detecting import find_drift
from pgcraft_django.drift.reading import read_catalog
from pgcraft_django.drift.rereading import as_read_again
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.management.commands.pgcraft_drift import _shown
from pgcraft_django.models import PGCraftSimple
from pgcraft_django.policies import Policy
from tests.ledger.conftest import new_store
from tests.support.databases import ADMINISTRATOR, administrator, run_sql, temporary_database
from tests.support.dumps import run_tool
from tests.support.world import Declare, Site, evolved, new_site

# What somebody does by hand -> what is said of it.
TAMPERING = {
    "ALTER VIEW api.clubs SET (security_invoker = false)": "changed: view api.clubs",
    "GRANT DELETE ON api.clubs TO anon": "not declared: privilege on a relation delete api.clubs to anon",
    "REVOKE SELECT ON api.clubs FROM anon": "missing: privilege on a relation select api.clubs to anon",
    "GRANT UPDATE (id) ON private.clubs TO anon": "privilege on a column update private.clubs.id to anon",
    "GRANT USAGE ON SCHEMA private TO anon": "not declared: privilege on a schema usage SCHEMA private to anon",
    "ALTER TABLE private.clubs ENABLE ROW LEVEL SECURITY": "changed: row security private.clubs",
    "CREATE POLICY mine ON private.clubs USING (true)": "not declared: policy mine ON private.clubs",
    "DROP POLICY owner ON django_admin_log": "missing: policy owner ON public.django_admin_log",
    "CREATE FUNCTION api.evil() RETURNS int LANGUAGE sql RETURN 1": "not declared: function api.evil()",
    "CREATE PROCEDURE api.evil_too() LANGUAGE sql AS 'SELECT 1'": "not declared: function api.evil_too()",
    "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER far FOREIGN DATA WRAPPER far;"
    " CREATE FOREIGN TABLE api.far (id int) SERVER far": "not declared: table api.far",
    "CREATE MATERIALIZED VIEW api.copied AS SELECT 1 AS one": "not declared: materialized view api.copied",
    "CREATE VIEW api.stray AS SELECT 1 AS one": "not declared: view api.stray",
    'CREATE VIEW api."x\nCREATE TABLE private.out (id int); --" AS SELECT 1 AS one': (
        'not declared: view api."x CREATE TABLE private.out (id int); --"'
    ),
    'CREATE VIEW api."x\rCREATE TABLE private.out (id int); --" AS SELECT 1 AS one': (
        'not declared: view api."x CREATE TABLE private.out (id int); --"'
    ),
    "CREATE TABLE private.stray (id int)": "not declared: table private.stray",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA api GRANT SELECT ON TABLES TO anon": "not declared: default privilege select",
    "COMMENT ON VIEW api.clubs IS 'hacked'": "comment VIEW api.clubs",
    "COMMENT ON FUNCTION api.members(api.clubs) IS 'hacked'": "comment ROUTINE api.members(api.clubs)",
    "ALTER TABLE private.letters DISABLE ROW LEVEL SECURITY": "changed: row security private.letters",
    "ALTER POLICY owner ON private.letters USING (true)": "changed: policy owner ON private.letters",
    "ALTER TABLE private.closed OWNER TO webuser": "changed: owner private.closed",
    'ALTER TABLE private.documents DISABLE TRIGGER "~pgcraft_history"': (
        'changed: trigger "~pgcraft_history" ON private.documents'
    ),
    "ALTER TABLE private.memberships DISABLE TRIGGER ALL": "changed: constraint memberships_",
    "ALTER TABLE private.documents_history SET UNLOGGED": "not declared: unlogged table private.documents_history",
    "ALTER FUNCTION private.documents_history_updated() RESET search_path": (
        "changed: function private.documents_history_updated()"
    ),
    "CREATE OR REPLACE FUNCTION private.documents_history_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
    " SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'": (
        "changed: function private.documents_history_deleted()"
    ),
}


@pytest.fixture
def alias(settings: Any, unblocked: None) -> Iterator[str]:
    """A database with all migrations applied, and an authenticator of its own."""
    name = f"authenticator_{secrets.token_hex(4)}"
    settings.PGCRAFT = {**settings.PGCRAFT, "AUTHENTICATOR_ROLE": name}
    with temporary_database(**ADMINISTRATOR) as alias:
        call_command("pgcraft_roles", database=alias, verbosity=0)
        call_command("migrate", database=alias, verbosity=0)
        yield alias
        run_sql(f"DROP OWNED BY {name}", database=connections[alias].settings_dict["NAME"])
    run_sql(f"DROP ROLE {name}")


def databases() -> set[str]:
    with administrator() as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def execute(alias: str, *statements: str) -> None:
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_what_was_changed_by_hand_is_found_and_mended(alias: str, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("pgcraft_drift", database=alias)
    assert "as the migrations make it" in capsys.readouterr().out
    authenticator = get_config().authenticator_role
    of_roles = [
        f"ALTER ROLE {authenticator} CREATEDB BYPASSRLS",
        f"REVOKE anon FROM {authenticator}",
        f"ALTER ROLE {authenticator} SET pgrst.db_schemas = 'private'",
        f"ALTER ROLE {authenticator} IN DATABASE {connections[alias].settings_dict['NAME']} SET row_security = 'off'",
        f"ALTER ROLE {authenticator} SET statement_timeout = '10s'",  # a DBA may
        f"ALTER DATABASE {connections[alias].settings_dict['NAME']} SET session_replication_role = 'replica'",
        f"GRANT webuser TO {authenticator} WITH ADMIN OPTION",
        f"GRANT CREATE ON DATABASE {connections[alias].settings_dict['NAME']} TO {authenticator}",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",  # as PostgreSQL had it until 14
    ]
    # What is somebody else's is not looked at, and not touched.
    foreign = [
        "CREATE SCHEMA elsewhere",
        "CREATE TABLE elsewhere.theirs (id int)",
        "CREATE TABLE public.theirs (id int)",
    ]
    execute(alias, *TAMPERING, *of_roles, *foreign, "GRANT ALL ON elsewhere.theirs TO anon")
    with pytest.raises(CommandError, match="differences"):
        call_command("pgcraft_drift", database=alias)
    said = capsys.readouterr().out
    expected = [
        *TAMPERING.values(),
        f"changed: role {authenticator}",
        f"not declared: role setting pgrst.db_schemas of {authenticator}",
        f"not declared: role setting row_security of {authenticator} here",
        "not declared: role setting session_replication_role of everybody here",
        f'missing: membership "{authenticator}" in "anon"',
        f"not declared: membership option ADMIN of {authenticator} in webuser",
        f"not declared: privilege create DATABASE {connections[alias].settings_dict['NAME']} to {authenticator}",
        "not declared: privilege create SCHEMA public to PUBLIC",
    ]
    assert [line for line in expected if line not in said] == []
    assert "theirs" not in said
    execute(alias, "INSERT INTO private.stray VALUES (1)")
    execute(alias, said)  # comments say what cannot be mended
    assert [item.describe() for item in find_drift(connections[alias])] == ["not declared: table private.stray"]
    with pytest.raises(CommandError):
        call_command("pgcraft_drift", database=alias, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert {item["problem"] for item in found} == {"not declared"}
    assert set(found[0]) == {"kind", "name", "problem", "expected", "found", "repair"}
    execute(alias, "DROP TABLE private.stray")
    execute(alias, 'ALTER VIEW api.presets ALTER COLUMN "integer" SET DEFAULT (- 7)')  # as a dump says it
    assert find_drift(connections[alias]) == []
    temporary = f"{connections[alias].settings_dict['NAME']}_drift_"  # other tests may have theirs meanwhile
    assert [name for name in databases() if name.startswith(temporary)] == []


class ReadOnly:
    """A router for a copy that is only read from."""

    def allow_migrate(self, *arguments: Any, **hints: Any) -> bool:
        return False


def test_a_database_in_which_nothing_is_migrated_is_not_said_to_have_too_much(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [ReadOnly()]
    with pytest.raises(ConfigurationError, match=r"nothing in the database 'default'.* Name the one"):
        find_drift(connections["default"])


def test_the_search_path_may_be_that_of_the_database(unblocked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind PgBouncer, to which nobody says it when they connect, and migrations need it."""
    monkeypatch.setattr(scratch, "call_command", lambda *arguments, **options: None)
    with temporary_database(**ADMINISTRATOR, OPTIONS={"options": None}) as alias:
        connection = connections[alias]
        user, name = connection.settings_dict["USER"], connection.settings_dict["NAME"]
        run_sql(f"ALTER ROLE {user} IN DATABASE {name} SET search_path = public, 'a \"b'")
        with scratch.migrated_scratch(connection), connection.cursor() as cursor:
            cursor.execute("SELECT pg_catalog.current_database() <> %s, pg_catalog.current_schemas(false)", [name])
            assert cursor.fetchone() == (True, ["public"])
            cursor.execute("SHOW search_path")
            assert cursor.fetchone() == ('public, "a ""b"',)


WEAKENED = {
    "ALTER TABLE private.inventory_default DISABLE ROW LEVEL SECURITY": "inventory_default without row-level security",
    "ALTER TABLE private.inventory_default OWNER TO webuser": "inventory_default with another owner than its table",
    "ALTER TABLE private.inventory_default DISABLE TRIGGER pgcraft_guard": (
        "inventory_default with its trigger pgcraft_guard disabled"
    ),
    "ALTER TABLE private.inventory_default DISABLE TRIGGER pgcraft_guard_partition": (
        "inventory_default with its trigger pgcraft_guard_partition disabled"
    ),
    "DROP TRIGGER pgcraft_guard_partition ON private.inventory_default": (
        "inventory_default without the trigger pgcraft_guard_partition"
    ),
    "DROP TRIGGER pgcraft_guard_truncate ON private.inventory_default": (
        "inventory_default without the trigger pgcraft_guard_truncate"
    ),
    "CREATE OR REPLACE TRIGGER pgcraft_guard_truncate BEFORE TRUNCATE ON private.inventory_default"
    " FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION private.pgcraft_guard()": (
        "inventory_default without the trigger pgcraft_guard_truncate"
    ),
    "CREATE OR REPLACE TRIGGER pgcraft_guard_partition BEFORE INSERT OR UPDATE OR DELETE ON private.inventory_default"
    " FOR EACH STATEMENT WHEN (pg_partition_root('private.inventory_default') IS NOT NULL)"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()": (
        "inventory_default without the trigger pgcraft_guard_partition"
    ),
    "CREATE OR REPLACE TRIGGER pgcraft_guard_partition BEFORE INSERT ON private.inventory_default FOR EACH STATEMENT"
    " WHEN (pg_partition_root('private.inventory_default') IS NOT NULL)"
    " EXECUTE FUNCTION private.pgcraft_guard_partition()": (
        "inventory_default without the trigger pgcraft_guard_partition"
    ),
    "CREATE TRIGGER sly BEFORE UPDATE ON private.inventory_default"
    " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()": (
        "inventory_default with the trigger sly of its own"
    ),
}
# Partitions that somebody has made themselves: nobody has guarded them.
MADE_BY_HAND = {
    "private": "CREATE TABLE private.sly (LIKE private.inventory INCLUDING ALL EXCLUDING IDENTITY)",
    "public": "CREATE TABLE public.sly (LIKE private.inventory INCLUDING ALL EXCLUDING IDENTITY)",
    "partitions of its own": "CREATE TABLE private.sly (LIKE private.inventory INCLUDING ALL EXCLUDING IDENTITY)"
    " PARTITION BY RANGE (created_at); CREATE TABLE public.slier PARTITION OF private.sly DEFAULT",
}


def test_a_partition_that_lost_its_guards_is_found_and_mended(unblocked: None) -> None:
    with new_store(partition_by="month", api=API(grants={"webuser": ["select"]})) as store:
        connection = connections[store.site.alias]
        before = read_catalog(connection, ["private"], [])
        assert [name for kind, name in before if kind == "partition"] == []
        for join in ("nestloop", "hashjoin", "mergejoin"):  # as statistics of the catalog may make the planner do
            execute(store.site.alias, f"SET enable_{join} = off")
            assert read_catalog(connection, ["private"], []) == before
            execute(store.site.alias, f"RESET enable_{join}")
        for tampering, said in WEAKENED.items():
            run_sql(tampering, database=store.database)
            [found] = differences(before, read_catalog(connection, ["private"], []))
            assert found.describe() == f"not declared: partition private.{said}"
            assert found.repair
            execute(store.site.alias, found.repair)
            assert read_catalog(connection, ["private"], []) == before


# What else a schema can hold -> how it is called. Each is made of those before it.
OTHERS = {
    "CREATE COLLATION private.plain (provider = libc, locale = 'C')": "collation private.plain",
    "CREATE TYPE private.colour AS ENUM ('red')": "type private.colour",
    "CREATE TYPE private.pair AS (one private.colour, two int)": "type private.pair",
    'CREATE DOMAIN private."In Use" AS text COLLATE private.plain CHECK (value <> $$$$)': 'type private."In Use"',
    "CREATE TYPE private.days AS RANGE (subtype = date)": "type private.days",
    "CREATE SEQUENCE private.counter": "sequence private.counter",
    "CREATE FUNCTION private.same(private.colour, private.colour) RETURNS boolean"
    " LANGUAGE sql RETURN $1::text = $2::text": "function private.same(private.colour,private.colour)",
    "CREATE FUNCTION private.lacking(private.colour) RETURNS boolean LANGUAGE sql RETURN $1 IS NULL": (
        "function private.lacking(private.colour)"
    ),
    "CREATE OPERATOR private.=== (leftarg = private.colour, rightarg = private.colour, function = private.same)": (
        "operator private.===(private.colour,private.colour)"
    ),
    "CREATE OPERATOR private.!!! (rightarg = private.colour, function = private.lacking)": (
        "operator private.!!!(NONE,private.colour)"
    ),
    "CREATE AGGREGATE private.total (int) (sfunc = int4pl, stype = int)": "aggregate private.total(integer)",
    "CREATE AGGREGATE private.middle (float8 ORDER BY anyelement) (sfunc = ordered_set_transition, stype = internal,"
    " finalfunc = percentile_disc_final, finalfunc_extra)": (
        "aggregate private.middle(double precision,pg_catalog.anyelement)"
    ),
    "CREATE OPERATOR FAMILY private.sorted USING btree": "operator family private.sorted USING btree",
    "CREATE OPERATOR CLASS private.sorted FOR TYPE bigint USING btree FAMILY private.sorted"
    " AS OPERATOR 1 <, FUNCTION 1 btint8cmp(bigint, bigint)": "operator class private.sorted USING btree",
    "CREATE INDEX stray ON private.inventory_balance (id private.sorted)": "index private.stray",
    "CREATE STATISTICS private.both_of ON warehouse, sku FROM private.inventory_balance": (
        "statistics object private.both_of"
    ),
    "CREATE TEXT SEARCH DICTIONARY private.words (template = simple)": "text search dictionary private.words",
    "CREATE TEXT SEARCH CONFIGURATION private.finding (copy = pg_catalog.english)": (
        "text search configuration private.finding"
    ),
    "ALTER TEXT SEARCH CONFIGURATION private.finding ALTER MAPPING FOR word WITH private.words": None,
    "CREATE CONVERSION private.wide FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8": "conversion private.wide",
    "CREATE VIEW private.next AS SELECT nextval('private.counter'), NULL::private.colour": "view private.next",
}


def test_whatever_else_a_schema_can_hold_is_found_and_taken_away(unblocked: None) -> None:
    with new_store() as store:
        connection = connections[store.site.alias]
        before = read_catalog(connection, ["private"], [])
        for making in OTHERS:
            run_sql(making, database=store.database)
        found = [item for item in differences(before, read_catalog(connection, ["private"], [])) if item.repair]
        said = {item.describe() for item in found if not item.kind.startswith("privilege")}
        assert said == {f"not declared: {name}" for name in OTHERS.values() if name}
        for item in found:
            run_sql(str(item.repair), database=store.database)
        assert read_catalog(connection, ["private"], []) == before


def test_what_is_part_of_a_table_or_of_an_extension_is_not_told_of_itself(unblocked: None) -> None:
    with new_store() as store:
        connection = connections[store.site.alias]
        before = read_catalog(connection, ["private"], [])
        run_sql(
            "CREATE TABLE private.stray (id int GENERATED ALWAYS AS IDENTITY, counted serial);"
            "CREATE VIEW private.of_extension AS SELECT 1 AS one; GRANT SELECT ON private.of_extension TO PUBLIC;"
            "CREATE FUNCTION private.of_extension() RETURNS int LANGUAGE sql RETURN 1;"
            "CREATE TYPE private.kind_of_extension AS ENUM ('one');"
            "ALTER EXTENSION plpgsql ADD VIEW private.of_extension;"
            "ALTER EXTENSION plpgsql ADD FUNCTION private.of_extension();"
            "ALTER EXTENSION plpgsql ADD TYPE private.kind_of_extension",
            database=store.database,
        )
        [found] = differences(before, read_catalog(connection, ["private"], []))
        assert (found.describe(), found.repair) == ("not declared: table private.stray", None)
        run_sql("DROP TABLE private.stray", database=store.database)
        for (name,) in store.query(
            "SELECT name FROM pg_available_extensions WHERE name IN ('citext', 'pg_stat_statements')"
        ):
            run_sql(f"CREATE EXTENSION {name} SCHEMA private", database=store.database)
            [found] = differences(before, read_catalog(connection, ["private"], []))
            assert found.describe() == f"not declared: extension {name}"
            run_sql(str(found.repair), database=store.database)
        assert read_catalog(connection, ["private"], []) == before


@pytest.mark.parametrize("where", MADE_BY_HAND)
def test_a_partition_that_somebody_attached_is_found_and_guarded(unblocked: None, where: str) -> None:
    with new_store(partition_by="month") as store:
        connection = connections[store.site.alias]
        before = read_catalog(connection, ["private"], [])
        table = "public.sly" if where == "public" else "private.sly"
        run_sql(MADE_BY_HAND[where], database=store.database)
        run_sql(
            f"ALTER TABLE private.inventory ATTACH PARTITION {table} FOR VALUES FROM ('2001-01-01') TO ('2002-01-01')",
            database=store.database,
        )
        found = differences(before, read_catalog(connection, ["private"], []))
        said = [item.describe().removeprefix("not declared: partition ") for item in found]
        for lack in ("without row-level security", "without the trigger pgcraft_guard_partition"):
            assert f"{table} {lack}" in said
            assert where != "partitions of its own" or f"public.slier {lack}" in said
        assert where == "private" or any("in another schema than its table" in item for item in said)
        for _ in range(2):  # after the move to its table's schema it has another name
            for item in differences(before, read_catalog(connection, ["private"], [])):
                assert item.repair
                run_sql(item.repair, database=store.database)
        assert read_catalog(connection, ["private"], []) == before
        with pytest.raises(IntegrityError, match="it is a partition of"):
            store.query("INSERT INTO private.sly (value, warehouse, created_at) VALUES (-9, 'A', '2001-05-05')")


def test_names_that_were_made_up_are_no_difference_but_those_that_were_given(unblocked: None) -> None:
    """A column that comes back to a renamed table gets constraints and indexes that are named after that."""

    def people(table: str, **fields: Any) -> Declare:
        def declare(apps: Apps) -> None:
            given = [models.UniqueConstraint(fields=["title"], name="given_key")]
            meta = {"apps": apps, "app_label": "shop", "db_table": table, "constraints": given}
            attributes = {"Meta": type("Meta", (), meta), "title": models.TextField(), **fields}
            type("Person", (PGCraftSimple,), {"__module__": __name__, **attributes})

        return declare

    fields: dict[str, Any] = {
        "code": models.CharField(max_length=9, unique=True, null=True),
        "boss": models.ForeignKey("self", models.CASCADE, null=True),
        "size": models.PositiveIntegerField(null=True),
    }
    with evolved(people("people", **fields), people("Other people", **fields)) as (world, site), new_site() as straight:
        straight.migrate(world.order)
        for _ in (made := world.evolve(people("Other people"))):
            site.migrate(made)
            site.unmigrate()
        names = "SELECT count(*) FROM pg_constraint WHERE conname ~ '^Other people_(code|boss|size)'"
        assert (site.query(names), straight.query(names)) == ([(3,)], [(0,)])
        assert site.drift(straight) == []
        for name in ("given_key", "Other people_code_key"):
            rename = 'ALTER TABLE private."Other people" RENAME CONSTRAINT "{}" TO "{}"'
            site.query(rename.format(name, "mine"))
            told = [line.partition(":")[2].split()[1] for line in site.drift(straight)]
            assert told == ["mine", "given_key" if name == "given_key" else "people_code_key"]
            site.query(rename.format("mine", name))
        assert site.drift(straight) == []


def test_a_database_that_was_restored_from_a_dump_has_no_drift(unblocked: None, tmp_path: Path) -> None:
    """PostgreSQL reads some of its own words otherwise than it has written them."""
    among = models.Q(code__in=["a", "b"])

    def declare(apps: Apps) -> None:
        meta = {
            "apps": apps,
            "app_label": "shop",
            "db_table": "things",
            "constraints": [models.CheckConstraint(condition=among, name="things_code")],
            "indexes": [models.Index(fields=["id"], condition=among, name="things_among")],
        }
        pgcraft = type("PGCraft", (), {"policies": [Policy("among", using=among)], "api": API()})
        attributes = {"Meta": type("Meta", (), meta), "PGCraft": pgcraft, "code": models.CharField(max_length=9)}
        type("Thing", (PGCraftSimple,), {"__module__": __name__, **attributes})

    with evolved(declare) as (_, site), temporary_database() as alias:
        restored, schemas = Site(alias), ["private", "api"]
        run_tool("pg_dump", site, "--format=custom", f"--file={tmp_path / 'archive'}")
        run_tool("pg_restore", restored, "--exit-on-error", tmp_path / "archive")
        expected = read_catalog(connections[site.alias], schemas, [])

        def told() -> list[str]:
            found = read_catalog(connections[alias], schemas, [])
            wanted = as_read_again(connections[site.alias], expected, found, schemas, [])
            return [item.describe() for item in differences(wanted, found)]

        assert expected != read_catalog(connections[alias], schemas, [])
        assert told() == []
        restored.query("ALTER POLICY among ON private.things USING (code IN ('a', 'b', 'c'))")
        assert told() == ["changed: policy among ON private.things"]
        assert read_catalog(connections[site.alias], schemas, []) == expected


def test_a_column_that_may_hold_null_is_found(unblocked: None) -> None:
    """From PostgreSQL 18 on, also one that is NOT NULL, and whose rows were not looked at."""
    with new_store() as store:
        connection = connections[store.site.alias]
        before = read_catalog(connection, ["private"], [])
        store.query("ALTER TABLE private.inventory ALTER COLUMN value DROP NOT NULL")
        if connection.pg_version >= 180000:
            store.query("ALTER TABLE private.inventory ADD CONSTRAINT later NOT NULL value NOT VALID")
        found = differences(before, read_catalog(connection, ["private"], []))
        assert [item.describe() for item in found] == ["changed: column private.inventory.value"]


def test_a_generated_column_that_is_computed_or_kept_otherwise_is_found(unblocked: None) -> None:
    """From PostgreSQL 18 on, a column may also be computed when it is read."""
    column = "ALTER TABLE private.things DROP COLUMN IF EXISTS other, ADD COLUMN other int GENERATED ALWAYS AS"
    with temporary_database() as alias:
        connection = connections[alias]
        execute(alias, "CREATE SCHEMA private", "CREATE TABLE private.things (one int)", f"{column} (one * 2) STORED")
        before = read_catalog(connection, ["private"], [])
        for changed in ("(one * 3) STORED", "(one * 2) VIRTUAL" if connection.pg_version >= 180000 else "(one) STORED"):
            execute(alias, f"{column} {changed}")
            found = differences(before, read_catalog(connection, ["private"], []))
            assert [item.describe() for item in found] == ["changed: column private.things.other"]


def test_long_texts_are_shown_where_they_differ() -> None:
    key = f"FOREIGN KEY (owner_id) REFERENCES private.owners(id) {'ON DELETE CASCADE ' * 3}DEFERRABLE"
    shown = _shown(Difference("constraint", "a ON b", "changed", key, f"{key} NOT VALID", None)).splitlines()
    assert [line.partition("…")[2][-20:] for line in shown[1:3]] == [
        "DEFERRABLE NOT VALID",
        "E CASCADE DEFERRABLE",
    ]
