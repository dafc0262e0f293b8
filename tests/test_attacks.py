"""Nobody makes a definer function run something else: each one that the factories make is attacked, found in pg_proc.

The proof is a canary, which says who runs it. All that a caller can put in the way calls it: functions, operators and
casts first on the path, temporary types and tables, settings. It may be heard as the caller, but never as the owner.

That none is forgotten is found in the sources: each place that makes a definer function has to be one that is attacked.
"""

import ast
import json
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import connections, models

import pgcraft_django
from pgcraft_django.api import API
from pgcraft_django.models import PGCraftEAV, PGCraftLogin
from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.objects import Function
from pgcraft_django.plugins import Balance, DoubleEntry
from tests.eav.catalogue import OPEN, define
from tests.ledger.stock import declare as declare_stock
from tests.policies.conftest import declare as declare_school
from tests.support.attacker import BASE_TYPES, DEFINERS, HOSTILE_PATH, POISON, Attacker, set_traps
from tests.support.databases import administrator, run_sql
from tests.support.world import Site, World, new_site

ROLES = ("anon", "staff", "webuser")
REFUSED = {"42501", "42809"}  # the second: it is no table

# What webuser may do; together it fires all that this role can fire.
WORK = [
    "INSERT INTO api.notes (text, person_id) VALUES ('new', 1)",
    "UPDATE api.notes SET text = 'changed'",
    "INSERT INTO api.courses (title, teacher_id) VALUES ('c', 1)",
    "INSERT INTO api.lessons (title, course_id) SELECT 'l', id FROM api.courses",
    "SELECT * FROM api.lessons",
    "INSERT INTO api.orders (person_id) VALUES (1), (1)",
    "UPDATE api.orders SET state = 'done' WHERE id = (SELECT min(id) FROM api.orders)",
    "SELECT api.orders_transition(id, 'done') FROM api.orders WHERE state = 'new'",
    "SELECT * FROM api.orders_transition",
    "INSERT INTO api.pupils (name, person_id) VALUES ('p', 1)",
    "UPDATE api.pupils SET name = 'q'",
    "DELETE FROM api.pupils",
    "INSERT INTO api.entrys (value, person_id, account) VALUES (5, 1, 'a')",
    "SELECT api.entrys_record(5, 1, 'a')",
    'SELECT api.inventory_record_legs(\'[{"value": 2, "direction": "debit", "warehouse": "A"},'
    ' {"value": 2, "direction": "credit", "warehouse": "B"}]\', gen_random_uuid()::pg_catalog.text)',
    "INSERT INTO api.gadgets (sku, extra) VALUES ('s', '{}')",
    "UPDATE api.gadgets SET stock = 3",
    'SELECT api.gadgets_upsert(\'{"sku": "t"}\')',
    "DELETE FROM api.gadgets",
    "INSERT INTO api.products (name, owner) VALUES ('a', '1')",
    "UPDATE api.products SET price = 3",
    "DELETE FROM api.products",
    "SELECT api_request.check_token()",
]
SOURCES = Path(pgcraft_django.__file__).parent
UNBALANCED = "INSERT INTO api.inventory (value, direction, warehouse) VALUES (1, 'debit', 'A')"
# What somebody tries who may write every row of every table: the writer of a DBA's script.
OF_A_WRITER = ("INSERT INTO {0} DEFAULT VALUES", "UPDATE {0} SET {1} = {1}", "DELETE FROM {0}")


def declare(apps: Apps) -> None:
    """Define a model with each factory, plugin and policy that brings definer functions."""
    declare_school(apps)
    fields = {"sku": models.TextField(unique=True), "stock": models.IntegerField(default=0)}
    define(apps, "Gadget", "gadgets", PGCraftEAV, fields, api=OPEN, extra=True)
    declare_stock(
        apps,
        api=API(grants={"webuser": ["select", "insert"]}),
        record_grants=["webuser"],
        idempotency=True,
        plugins=[Balance(dimensions=["warehouse"], minimum=-5000), DoubleEntry()],
    )
    define(apps, "Login", "logins", PGCraftLogin, {"user": models.TextField(null=True)}, api=None)


Place = tuple[str, int]


@pytest.fixture(scope="module")
def places() -> set[Place]:
    """Files and lines that have made definer functions for the site."""
    return set()


@pytest.fixture(scope="module")
def site(django_db_blocker: Any, places: set[Place]) -> Iterator[Site]:
    init = Function.__init__

    def noted(self: Function, **values: Any) -> None:
        if values.get("security_definer"):
            frame = sys._getframe(1)
            places.add((frame.f_code.co_filename, frame.f_lineno))
        init(self, **values)

    with django_db_blocker.unblock(), new_site() as site, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Function, "__init__", noted)
        world = World()
        site.migrate(world.evolve(declare))
        site.query("INSERT INTO persons (name) VALUES ('Ann')")
        site.query("INSERT INTO gadgets_extra (name, type) VALUES ('flavour', 'text')")
        site.query(
            "INSERT INTO logins (id, created_at, expires_at, revoked_at, generation, auth_hash)"
            " VALUES ('here', now(), 'infinity', NULL, 0, ''), ('gone', now(), 'infinity', now(), 0, '')"
        )
        yield site


@pytest.fixture(scope="module")
def owner(site: Site) -> str:
    [(name,)] = site.query("SELECT current_user")
    return str(name)


@pytest.fixture
def attacker(site: Site) -> Iterator[Attacker]:
    name, database = f"pgcraft_attacker_{secrets.token_hex(4)}", connections[site.alias].settings_dict["NAME"]
    with ExitStack() as stack:
        run_sql(f"CREATE ROLE {name}_writer IN ROLE pg_read_all_data, pg_write_all_data")
        stack.callback(run_sql, f"DROP ROLE {name}_writer")
        run_sql(f"CREATE ROLE {name} NOINHERIT IN ROLE {', '.join(ROLES)}, {name}_writer")
        stack.callback(run_sql, f"DROP ROLE {name}")
        boss = stack.enter_context(administrator(database))
        boss.execute("CREATE SCHEMA hostile")
        stack.callback(boss.execute, "DROP SCHEMA hostile CASCADE")
        boss.execute("GRANT ALL ON SCHEMA hostile TO PUBLIC")
        # A way into the private schema as well, which no role has: grants alone must hold.
        boss.execute("GRANT USAGE ON SCHEMA private TO PUBLIC")
        stack.callback(boss.execute, "REVOKE USAGE ON SCHEMA private FROM PUBLIC")
        attacker = Attacker(stack.enter_context(administrator(database)), name)
        # Not left to the end of the session, which comes a little after its last word.
        stack.callback(attacker.connection.execute, "DISCARD TEMP")
        stack.callback(attacker.connection.execute, "RESET SESSION AUTHORIZATION")
        attacker.connection.execute("""
            CREATE FUNCTION hostile.canary(place text) RETURNS boolean LANGUAGE plpgsql AS $$
            BEGIN RAISE NOTICE 'canary %: %', current_user, place; RETURN true; END $$
        """)
        yield attacker


def as_owner(attacker: Attacker, owner: str) -> list[str]:
    return [line for line in attacker.heard if line.startswith(f"{owner}:")]


def test_the_traps_would_be_heard(attacker: Attacker, site: Site, owner: str) -> None:
    """A careless function falls into each of them."""
    traps = ["lower('A')", "1::bigint = 2::bigint", "'a'::text", "(SELECT trap::pg_catalog.text FROM logins)"]
    set_traps(attacker, site)
    for number, trap in enumerate(traps):
        site.query(
            f"CREATE FUNCTION public.careless_{number}() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS"
            f" $$ BEGIN RETURN pg_catalog.concat({trap}); END $$"
        )
        attacker.become("webuser", path=HOSTILE_PATH)
        before = len(as_owner(attacker, owner))
        attacker.connection.execute(f"SELECT public.careless_{number}()")
        assert len(as_owner(attacker, owner)) > before, trap
        site.query(f"DROP FUNCTION public.careless_{number}()")


def test_every_place_that_makes_a_definer_function_is_attacked(site: Site, places: set[Place]) -> None:
    made = [
        (path, call)
        for path in map(str, SOURCES.rglob("*.py"))
        for call in ast.walk(ast.parse(Path(path).read_text()))
        if isinstance(call, ast.Call) and "security_definer" in [keyword.arg for keyword in call.keywords]
    ]
    assert len(made) > 10
    forgotten = [
        f"{path}:{call.lineno}"
        for path, call in made
        if not any(path == file and call.lineno <= line <= (call.end_lineno or 0) for file, line in places)
    ]
    assert forgotten == []
    written = {path.name for path in SOURCES.rglob("*.sql") if "SECURITY DEFINER" in path.read_text().upper()}
    assert written <= {"function.sql"}  # with which pgcraft_drift reads the catalog; all others are in the list


def test_every_definer_function_pins_its_search_path(site: Site) -> None:
    found = {name: config for _, name, _, config in site.query(DEFINERS)}
    assert len(found) > 20
    assert [name for name, config in found.items() if "search_path=pg_catalog, pg_temp" not in (config or [])] == []


def test_no_definer_function_runs_what_its_caller_put_in_the_way(attacker: Attacker, site: Site, owner: str) -> None:
    set_traps(attacker, site)
    names = {
        name
        for _, _, body, _ in site.query(DEFINERS)
        for name in re.findall(r"'((?:pgcraft|request)\.[\w.]+)'", str(body))
    }
    assert "pgcraft.transition" in names
    attacker.become("webuser", path=HOSTILE_PATH)
    assert {statement: attacker.attempt(statement) for statement in WORK} == dict.fromkeys(WORK, "")
    for role in ROLES:
        for name in sorted(names | {"pgcraft.actor", "pgcraft.reason"}):
            for value in (POISON, "[]", '{"sub": "1", "role": "postgres"}'):
                attacker.become(role, path=HOSTILE_PATH, **{name.replace(".", "__"): value})
                for statement in WORK:
                    attacker.attempt(statement)
                attacker.connection.execute("RESET ROLE")
                attacker.connection.execute(f"RESET {name}")
        call_directly(attacker, site, role)
    assert as_owner(attacker, owner) == []
    assert attacker.heard, "the traps were not even there"
    attacker.become("webuser", path=HOSTILE_PATH)
    assert attacker.attempt(UNBALANCED) == "23514"
    write_everything(attacker, site)
    for table in ("entrys", "inventory"):  # as who maintains a ledger does, and then what changed is added up anew
        site.query(f"ALTER TABLE {table} DISABLE TRIGGER pgcraft_guard")
    write_everything(attacker, site)
    for table in ("entrys", "inventory"):
        site.query(f"ALTER TABLE {table} ENABLE TRIGGER pgcraft_guard")
    assert as_owner(attacker, owner) == []
    ran = attacker.ran()
    found = site.query(DEFINERS)
    assert [
        name for oid, name, *_ in found if oid not in ran and str(name).split(".")[1] not in attacker.refused_by
    ] == []


def write_everything(attacker: Attacker, site: Site) -> None:
    """Insert, update and delete in each table and view."""
    attacker.become(f"{attacker.name}_writer", path=HOSTILE_PATH)
    for schema, name, column in site.query(
        "SELECT n.nspname, c.relname, min(a.attname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND attidentity <> 'a' AND attgenerated = ''"
        " WHERE n.nspname IN ('private', 'api') AND c.relkind IN ('r', 'v') GROUP BY 1, 2 ORDER BY 1, 2"
    ):
        for statement in OF_A_WRITER:
            attacker.attempt(statement.format(quote_name(str(schema), str(name)), quote_name(str(column))))


def call_directly(attacker: Attacker, site: Site, role: str) -> None:
    """Call each definer function, with nothing and with poison; who has no EXECUTE must be told so."""
    attacker.become(role, path=HOSTILE_PATH)
    attacker.connection.execute("CREATE TABLE IF NOT EXISTS pg_temp.bait (id bigint)")
    for oid, name, *_ in site.query(DEFINERS):
        [(may, is_trigger, types)] = site.query(
            "SELECT has_function_privilege(%s, oid, 'EXECUTE'), prorettype = 'trigger'::regtype,"
            " ARRAY(SELECT 'pg_catalog.' || t.typname FROM unnest(proargtypes::oid[]) WITH ORDINALITY a(oid, i)"
            " JOIN pg_type t ON t.oid = a.oid ORDER BY i) FROM pg_proc WHERE oid = %s",
            [role, oid],
        )
        for way in ("nothing", "poison", "a cast"):
            values = [_argument(str(kind), way) for kind in types]  # type: ignore[attr-defined]
            state = attacker.attempt(f"SELECT {name}({', '.join(values)})")
            assert may or state == "42501", (role, name, state)
        if is_trigger:
            state = attacker.attempt(f"CREATE TRIGGER t BEFORE INSERT ON pg_temp.bait EXECUTE FUNCTION {name}()")
            assert (may, state) == (False, "42501"), (role, name)


def _argument(kind: str, way: str) -> str:
    if way == "a cast" and kind.removeprefix("pg_catalog.") in BASE_TYPES.split(", "):
        return "'x'::hostile.trap"
    if way != "poison" or kind not in ("pg_catalog.text", "pg_catalog.jsonb"):
        return f"NULL::{kind}"
    value = POISON if kind == "pg_catalog.text" else json.dumps([POISON])
    return f"{quote_text(value)}::{kind}"


def test_no_setting_of_the_server_opens_what_is_closed(attacker: Attacker, site: Site) -> None:
    """Each setting that everybody may change, with each value that it can have."""
    values = {
        str(name): ["on", "off"] if kind == "bool" else [str(value) for value in choices]  # type: ignore[attr-defined]
        for name, kind, choices in site.query(
            "SELECT name, vartype, enumvals FROM pg_settings WHERE context = 'user' AND vartype IN ('bool', 'enum')"
            # The last ends the session with its next error; the others are about the transaction alone.
            " AND name NOT LIKE 'transaction_%' AND name <> 'exit_on_error'"
        )
    }
    assert {"row_security", "transform_null_equals", "bytea_output"} <= set(values)
    site.query("INSERT INTO notes (text, person_id) VALUES ('of Ann', 1)")
    site.query("INSERT INTO courses (title, teacher_id) VALUES ('of Ann', 1)")
    site.query("INSERT INTO lessons (title, course_id) SELECT 'of Ann', min(id) FROM courses")
    stranger = '{"role": "webuser", "sub": "2", "exp": 9999999999, "sid": "gone"}'
    attacker.become("webuser", request__jwt__claims=stranger)
    seen = "(SELECT count(*) FROM api.notes) + (SELECT count(*) FROM api.lessons)"
    look = f"SELECT 1 / CASE {seen} WHEN 0 THEN 1 ELSE 0 END"
    for name, each in values.items():
        for value in each:
            attacker.connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])
            assert attacker.attempt("SELECT api_request.check_token()") == "PT401", (name, value)
            # Without a row, or with a refusal.
            assert attacker.attempt(look) in ("", "42501"), (name, value)
        attacker.connection.execute(f"RESET {name}")
    attacker.become("webuser")
    assert attacker.attempt(look) == "22012"  # Ann sees hers


def test_a_trigger_of_a_writer_marks_no_line_of_a_log(attacker: Attacker, site: Site) -> None:
    """The triggers of the tables' owner mark those about a former row, which row-level security hides."""
    site.query("INSERT INTO gadgets (sku) VALUES ('a line')")
    attacker.become(f"{attacker.name}_writer")
    for statement in (
        "CREATE TABLE pg_temp.marking (x int)",
        "CREATE FUNCTION pg_temp.mark() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN UPDATE private.gadgets_attribute SET former = true; RETURN NULL; END $$",
        "CREATE TRIGGER mark AFTER INSERT ON pg_temp.marking FOR EACH ROW EXECUTE FUNCTION pg_temp.mark()",
    ):
        assert attacker.attempt(statement) == "", statement
    assert attacker.attempt("INSERT INTO pg_temp.marking VALUES (1)") == "23001"
    assert site.query("SELECT count(*) FROM gadgets_attribute WHERE former") == [(0,)]


@pytest.mark.parametrize("role", [*ROLES, "authenticator"])
def test_nobody_empties_or_copies_what_is_not_declared(attacker: Attacker, site: Site, role: str) -> None:
    if role == "authenticator":
        role = attacker.name  # it may switch to each role, and has no privilege of its own
    every_column = (
        "(SELECT bool_and(has_column_privilege(%(role)s, c.oid, attnum, '{}')) FROM pg_attribute"
        " WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)"
    )
    relations = site.query(
        f"SELECT n.nspname, c.relname, {every_column.format('SELECT')}, {every_column.format('INSERT')} FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('private', 'api') AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1, 2",
        {"role": role},  # type: ignore[arg-type]
    )
    assert {schema for schema, *_ in relations} == {"private", "api"}
    attacker.become(role)
    for schema, name, may_select, may_insert in relations:
        relation = quote_name(str(schema), str(name))
        assert attacker.attempt(f"TRUNCATE {relation}") in REFUSED, relation
        assert attacker.copy(f"COPY {relation} TO STDOUT") in REFUSED or (schema == "private" and may_select), relation
        assert attacker.copy(f"COPY {relation} FROM STDIN") in REFUSED or may_insert, relation
        for program in ("TO PROGRAM 'true'", "FROM PROGRAM 'true'", "TO '/tmp/x'", "FROM '/etc/hostname'"):
            assert attacker.attempt(f"COPY {relation} {program}") in REFUSED, (relation, program)
    # As it really is, without a way into the schema.
    site.query("REVOKE USAGE ON SCHEMA private FROM PUBLIC")
    for schema, name, *_ in relations:
        if schema == "private":
            for statement in ("TRUNCATE {}", "COPY {} TO STDOUT", "COPY {} FROM STDIN", "SELECT FROM {}"):
                run = attacker.copy if "STD" in statement else attacker.attempt
                assert run(statement.format(quote_name(str(schema), str(name)))) == "42501", (statement, name)
