"""Nobody makes a definer function run something else: each one that the factories make is attacked, found in pg_proc.

The proof is a canary, which says who runs it. All that a caller can put in the way calls it: functions and operators
first on the path, temporary types and tables, settings. It may be heard as the caller, but never as the owner.
"""

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from django.apps.registry import Apps
from django.db import connections, models

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftEAV
from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.plugins import Balance, DoubleEntry
from tests.eav.catalogue import OPEN, define
from tests.ledger.stock import declare as declare_stock
from tests.policies.conftest import declare as declare_school
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
]
CLAIMS = '{"role": "webuser", "sub": "1"}'
POISON = "'; SELECT hostile.canary('a setting'); --"
BASE_TYPES = "bool, bytea, date, float8, int4, int8, interval, jsonb, name, numeric, oid, text, timestamptz, uuid"
DEFINERS = """
    SELECT p.oid, format('%I.%I', n.nspname, p.proname), p.prosrc, p.proconfig
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.prosecdef AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""
# Definer functions that some role has a way to: by EXECUTE, or by a trigger on what it may write.
REACHABLE = """
    SELECT p.oid FROM pg_proc p CROSS JOIN unnest(%(roles)s::name[]) AS role
    WHERE p.prosecdef AND p.prorettype <> 'trigger'::regtype AND has_function_privilege(role, p.oid, 'EXECUTE')
    UNION
    SELECT t.tgfoid FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid AND p.prosecdef
    CROSS JOIN unnest(%(roles)s::name[]) AS role
    WHERE (t.tgtype & 4 > 0 AND has_any_column_privilege(role, t.tgrelid, 'INSERT'))
       OR (t.tgtype & 8 > 0 AND has_table_privilege(role, t.tgrelid, 'DELETE'))
       OR (t.tgtype & 16 > 0 AND has_any_column_privilege(role, t.tgrelid, 'UPDATE'))
"""


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


class Attacker:
    """A session of somebody who may switch to each request role, and may make objects of their own."""

    def __init__(self, connection: psycopg.Connection[Any], name: str) -> None:
        self.connection = connection
        self.name = name
        self.heard: list[str] = []
        """Who ran the canary, and from where: `webuser: lower`."""
        connection.add_notice_handler(self._hear)
        connection.execute("SET track_functions = 'all'")
        connection.execute(f"SET SESSION AUTHORIZATION {name}")

    def _hear(self, notice: Any) -> None:
        if notice.message_primary.startswith("canary "):
            self.heard.append(notice.message_primary.removeprefix("canary "))

    def become(self, role: str, *, path: str = "pg_catalog", **settings: str) -> None:
        """Be `role`, as PostgREST is, with this search path and these settings (`__` for a dot)."""
        self.connection.execute("RESET ROLE")
        self.connection.execute(f"SET search_path = {path}")
        for name, value in {"request__jwt__claims": CLAIMS, **settings}.items():
            self.connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name.replace("__", "."), value])
        self.connection.execute(f"SET ROLE {role}")

    def attempt(self, statement: str) -> str:
        """Run a statement; return the SQLSTATE, empty if it went through."""
        try:
            with self.connection.transaction():
                self.connection.execute(statement)
        except psycopg.Error as error:
            return error.sqlstate or "?"
        return ""

    def copy(self, statement: str) -> str:
        """Run a COPY, of nothing where it wants rows; return the SQLSTATE."""
        try:
            with self.connection.transaction(), self.connection.cursor().copy(statement) as copy:
                if "FROM STDIN" not in statement:
                    list(copy)
        except psycopg.Error as error:
            return error.sqlstate or "?"
        return ""


@pytest.fixture(scope="module")
def site(django_db_blocker: Any) -> Iterator[Site]:
    with django_db_blocker.unblock(), new_site() as site:
        world = World()
        site.migrate(world.evolve(declare))
        site.query("INSERT INTO persons (name) VALUES ('Ann')")
        site.query("INSERT INTO gadgets_extra (name, type) VALUES ('flavour', 'text')")
        yield site


@pytest.fixture(scope="module")
def owner(site: Site) -> str:
    [(name,)] = site.query("SELECT current_user")
    return str(name)


@pytest.fixture
def attacker(site: Site) -> Iterator[Attacker]:
    name, database = f"pgcraft_attacker_{secrets.token_hex(4)}", connections[site.alias].settings_dict["NAME"]
    with ExitStack() as stack:
        run_sql(f"CREATE ROLE {name} NOINHERIT IN ROLE {', '.join(ROLES)}")
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


def look_alikes(site: Site) -> list[str]:
    """Return statements that make, in `hostile`, what bodies of definer functions call and compare with."""
    words = sorted({word for _, _, body, _ in site.query(DEFINERS) for word in re.findall(r"[a-z_0-9]+", str(body))})
    plain = "NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY (array_append({}, {})) AND t.typtype = 'p')"
    functions = site.query(
        "SELECT quote_ident(proname), pg_get_function_identity_arguments(oid), format_type(prorettype, NULL),"
        " (SELECT coalesce(string_agg('$' || i, ', '), '') FROM generate_series(1, pronargs) i)"
        " FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset"
        f" AND provariadic = 0 AND proname = ANY (%s) AND {plain.format('proargtypes::oid[]', 'prorettype')}",
        [words],
    )
    operators = site.query(
        "SELECT oid, oprname, format_type(oprleft, NULL), format_type(oprright, NULL), format_type(oprresult, NULL)"
        " FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace"
        " AND oprleft = ANY (%(types)s::regtype[]) AND oprright = ANY (%(types)s::regtype[])",
        {"types": BASE_TYPES.split(", ")},  # type: ignore[arg-type]
    )
    body = "LANGUAGE plpgsql AS $body$ BEGIN PERFORM hostile.canary({}); RETURN {}; END $body$"
    made = []
    for name, arguments, result, given in functions:
        text = body.format(f"'{name}'", f"pg_catalog.{name}({given})")
        made.append(f"CREATE FUNCTION hostile.{name}({arguments}) RETURNS {result} {text}")
    for number, name, left, right, result in operators:
        text = body.format(f"'{name}'", f"$1 OPERATOR(pg_catalog.{name}) $2")
        made.append(f"CREATE FUNCTION hostile.o{number}({left}, {right}) RETURNS {result} {text}")
        made.append(f"CREATE OPERATOR hostile.{name} (FUNCTION = o{number}, LEFTARG = {left}, RIGHTARG = {right})")
    assert {"now", "lower", "current_setting"} & {name for name, *_ in functions}
    assert {"=", "||", "<"} <= {name for _, name, *_ in operators}
    return made


def set_traps(attacker: Attacker, site: Site) -> None:
    """Put functions, operators, temporary types and temporary tables in the way of who looks names up."""
    attacker.become(attacker.name, path="hostile, pg_catalog")
    for statement in look_alikes(site):
        attacker.connection.execute(statement)
    for name in BASE_TYPES.split(", "):
        attacker.connection.execute(
            f"CREATE DOMAIN pg_temp.{name} AS pg_catalog.{name} CHECK (hostile.canary('a type') OR VALUE IS NULL)"
        )
        attacker.connection.execute(f"GRANT USAGE ON TYPE pg_temp.{name} TO PUBLIC")
    for (name,) in site.query(
        "SELECT DISTINCT relname FROM pg_class WHERE relkind IN ('r', 'v') AND relname !~ '^pg_'"
        " AND relnamespace IN ('private'::regnamespace, 'api'::regnamespace)"
    ):
        attacker.connection.execute(f"CREATE TABLE pg_temp.{quote_name(str(name))} (id bigint DEFAULT 1)")
        attacker.connection.execute(f"GRANT ALL ON pg_temp.{quote_name(str(name))} TO PUBLIC")


HOSTILE_PATH = "pg_temp, hostile, pg_catalog, private, api"


def as_owner(attacker: Attacker, owner: str) -> list[str]:
    return [line for line in attacker.heard if line.startswith(f"{owner}:")]


def test_the_traps_would_be_heard(attacker: Attacker, site: Site, owner: str) -> None:
    """A careless function falls into each of them."""
    traps = ["lower('A')", "1::bigint = 2::bigint", "'a'::text"]
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
    attacker.connection.execute("RESET SESSION AUTHORIZATION")
    attacker.connection.execute("SELECT pg_catalog.pg_stat_force_next_flush()")
    attacker.connection.execute("SELECT 1")
    ran = {oid for (oid,) in attacker.connection.execute("SELECT funcid FROM pg_catalog.pg_stat_user_functions")}
    reachable = {oid for (oid,) in site.query(REACHABLE, {"roles": list(ROLES)})}  # type: ignore[arg-type]
    assert [name for oid, name, _, _ in site.query(DEFINERS) if oid in reachable - ran] == []


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
        for poison in (False, True):
            values = [_argument(str(kind), poison) for kind in types]  # type: ignore[attr-defined]
            state = attacker.attempt(f"SELECT {name}({', '.join(values)})")
            assert may or state == "42501", (role, name, state)
        if is_trigger:
            state = attacker.attempt(f"CREATE TRIGGER t BEFORE INSERT ON pg_temp.bait EXECUTE FUNCTION {name}()")
            assert (may, state) == (False, "42501"), (role, name)


def _argument(kind: str, poison: bool) -> str:
    if not poison or kind not in ("pg_catalog.text", "pg_catalog.jsonb"):
        return f"NULL::{kind}"
    value = POISON if kind == "pg_catalog.text" else json.dumps([POISON])
    return f"{quote_text(value)}::{kind}"


@pytest.mark.parametrize("role", ROLES)
def test_nobody_empties_or_copies_what_is_not_declared(attacker: Attacker, site: Site, role: str) -> None:
    every_column = (
        "(SELECT bool_and(has_column_privilege(%(role)s, c.oid, attnum, '{}')) FROM pg_attribute"
        " WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)"
    )
    relations = site.query(
        f"SELECT n.nspname, c.relname, {every_column.format('SELECT')}, {every_column.format('INSERT')} FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('private', 'api') AND c.relkind IN ('r', 'v', 'm') ORDER BY 1, 2",
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
