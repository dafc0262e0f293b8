"""Each kind of object: it is made, changed and dropped as its value says, whatever the names are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections, migrations
from django.db.migrations import Migration
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgcraft_django import operations
from pgcraft_django.errors import IdentifierError
from pgcraft_django.naming import MAX_BYTES, quote_name, quote_text, shorten
from pgcraft_django.objects import (
    Comment,
    Constraint,
    DatabaseObject,
    Extension,
    Function,
    FunctionGrant,
    Index,
    MaterializedView,
    Policy,
    Role,
    RoleMembership,
    Schema,
    SchemaGrant,
    SharedFunction,
    TableGrant,
    TablePlacement,
    Trigger,
    View,
)
from pgcraft_django.recorded import recorded
from tests.support.catalog import differences, read_catalog
from tests.support.databases import as_administrator, run_sql, temporary_database
from tests.support.world import Site

ODD = 'he said "it\'s" 100% größe\\n'
TABLE = quote_name("public", ODD)

FUNCTION = Function(
    schema="odd",
    name=ODD,
    arguments='"a" integer',
    returns="integer",
    body="RETURN a + 1",
    comment=ODD,
)
TRIGGER_FUNCTION = Function(
    schema="odd",
    name="stamp",
    returns="trigger",
    language="plpgsql",
    security_definer=True,
    body=f"AS {quote_text('BEGIN RETURN NEW; END')}",
)
VIEW = View(schema="odd", name=ODD, query=f"SELECT {quote_name(ODD)} FROM {TABLE}", reads={TABLE: {ODD: "text"}})

# Each with the objects it stands on.
KINDS: dict[str, list[DatabaseObject]] = {
    "comment": [VIEW, Comment(schema="odd", name=ODD, text=ODD, columns={ODD: ODD})],
    "constraint": [
        Constraint(schema="public", table=ODD, name=ODD, definition=f"CHECK ({quote_name(ODD)} <> {quote_text(ODD)})")
    ],
    "extension": [Extension(name="plpgsql", schema="")],
    "function": [FUNCTION],
    "shared function": [
        SharedFunction(schema="odd", name=ODD, returns="trigger", language="plpgsql", body=TRIGGER_FUNCTION.body)
    ],
    "execute": [FUNCTION, FunctionGrant(schema="odd", function=ODD, arguments='"a" integer', role="anon")],
    "index": [
        Index(
            schema="public",
            table=ODD,
            name="odd index",
            definition=f"USING btree (lower({quote_name(ODD)}))",
            unique=True,
            reads={TABLE: {ODD: "text"}},
        )
    ],
    "materialized view": [MaterializedView(schema="odd", name=ODD, query="SELECT 1 AS one")],
    "policy": [
        Policy(schema="public", table=ODD, name=ODD, roles=["anon"], command="update", using="true", check="false")
    ],
    "role": [Role(name="pgcraft_test_role")],
    "membership": [
        Role(name="pgcraft_test_role"),
        Role(name="pgcraft_test_member", login=True),
        RoleMembership(role="pgcraft_test_role", member="pgcraft_test_member"),
    ],
    "schema": [Schema(name=ODD)],
    "usage": [SchemaGrant(schema="odd", role="anon")],
    "grant on a table": [
        TableGrant(schema="public", table=ODD, role="anon", privileges={"select": [ODD, "id"], "delete": []})
    ],
    "grant on a view": [VIEW, TableGrant(schema="odd", table=ODD, role="anon", privileges={"select": []})],
    "table": [TablePlacement(schema="odd", name=ODD)],
    "trigger": [
        TRIGGER_FUNCTION,
        Trigger(schema="public", table=ODD, name=ODD, event="BEFORE INSERT", function=("odd", "stamp")),
    ],
    "view": [VIEW],
    "view with defaults": [View(**{**vars(VIEW), "defaults": {ODD: quote_text(ODD)}})],
}


@pytest.fixture
def table(site: Site) -> Iterator[Site]:
    """A database with a schema `odd`, a role `anon` and a table, all with names that need care."""
    with connections[site.alias].cursor() as cursor:
        cursor.execute("CREATE SCHEMA odd")
        cursor.execute(f"CREATE TABLE {TABLE} (id bigint, {quote_name(ODD)} text)", None)
        for statement in Role(name="anon").create_sql():
            cursor.execute(statement, None)
    yield site
    with connections[site.alias].cursor() as cursor:
        cursor.execute("DROP OWNED BY anon")
    run_sql("DROP ROLE IF EXISTS pgcraft_test_member, pgcraft_test_role")


@contextmanager
def user_who_may_make(kind: str, table: Site) -> Iterator[Site]:
    """Yield the database as its owner, except for what an owner may not make."""
    if kind in {"role", "membership"}:
        with as_administrator(table.alias) as alias:
            yield Site(alias)
    else:
        yield table


def run(site: Site, statements: list[str]) -> None:
    with connections[site.alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, None)


@pytest.mark.parametrize("kind", KINDS)
def test_creating_and_dropping_restores_the_database(table: Site, kind: str) -> None:
    before = table.catalog()
    with user_who_may_make(kind, table) as user:
        run(user, [sql for item in KINDS[kind] for sql in item.create_sql()])
        during = table.catalog()
        run(user, [sql for item in reversed(KINDS[kind]) for sql in item.drop_sql()])
    assert differences(before, table.catalog()) == {}
    shared_by_the_cluster = {"role", "membership", "extension"}
    assert (differences(before, during) == {}) == (kind in shared_by_the_cluster)


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_is_written_to_a_migration_and_read_back(kind: str) -> None:
    objects = KINDS[kind]
    changes = [
        operations.Create(objects),
        operations.Drop(objects),
        operations.Replace(objects, objects),
        operations.SetTableSchema([ODD], old_schema="odd", new_schema=ODD),
        migrations.SeparateDatabaseAndState(state_operations=[operations.Create(objects)]),
    ]
    migration = Migration("0001", "shop")
    migration.operations = changes
    namespace: dict[str, Any] = {}
    exec(MigrationWriter(migration, include_header=False).as_string(), namespace)
    read = namespace["Migration"]("0001", "shop").operations
    assert [item.deconstruct() for item in read[:4]] == [item.deconstruct() for item in changes[:4]]
    state = ProjectState()
    read[4].state_forwards("shop", state)
    assert recorded(state)["shop"] == {item.key: item for item in objects}


@pytest.mark.parametrize("kind", KINDS)
def test_creating_twice_fails_unless_the_object_is_shared(table: Site, kind: str) -> None:
    *_, item = KINDS[kind]
    with user_who_may_make(kind, table) as user:
        run(user, [sql for item in KINDS[kind] for sql in item.create_sql()])
    if item.shared or kind in {"comment", "execute"} or kind.startswith("grant"):
        run(table, item.create_sql())
    else:
        with pytest.raises(Exception, match=r"exist|already in schema"):
            run(table, item.create_sql())
    run(table, [sql for item in reversed(KINDS[kind]) for sql in item.drop_sql()])


def test_what_an_operation_makes_takes_few_journeys_to_the_server(table: Site) -> None:
    """Also where SQL that somebody wrote ends with a comment or a semicolon."""
    queries = ["SELECT 1 AS one -- first", "SELECT 2 AS two;", "SELECT 3 AS three"]
    migration = Migration("0001", "shop")
    views = [View(schema="odd", name=f"{ODD} {number}", query=queries[number % 3]) for number in range(99)]
    migration.operations = [operations.Create(views)]
    before = table.catalog()
    with CaptureQueriesContext(connections[table.alias]) as journeys:
        table.migrate([migration])
        assert table.query("SELECT count(*) FROM pg_views WHERE schemaname = 'odd'") == [(99,)]
        table.unmigrate()
    assert table.catalog() == before
    assert len([query for query in journeys if "VIEW" in query["sql"]]) < 10


def test_objects_are_also_made_where_the_driver_prepares_every_statement(unblocked: None) -> None:
    with temporary_database(OPTIONS={"server_side_binding": True, "prepare_threshold": 0}) as alias:
        site = Site(alias)
        migration = Migration("0001", "shop")
        migration.operations = [
            operations.Create([MaterializedView(schema="public", name=ODD, query="SELECT 1 AS one")])
        ]
        site.migrate([migration])
        assert site.query("SELECT matviewname FROM pg_matviews") == [(ODD,)]


grants = st.dictionaries(
    st.sampled_from(["select", "insert", "update"]),
    st.lists(st.sampled_from(["id", ODD]), max_size=2, unique=True).map(sorted),
    min_size=1,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=grants, new=grants)
def test_a_changed_grant_leaves_exactly_what_the_new_one_says(table: Site, old: Any, new: Any) -> None:
    first, second = (
        TableGrant(schema="public", table=ODD, role="anon", privileges=privileges) for privileges in (old, new)
    )
    run(table, second.create_sql())
    wanted = table.catalog()
    run(table, [*second.drop_sql(), *first.create_sql(), *second.replace_sql(first)])
    assert differences(table.catalog(), wanted) == {}
    run(table, second.drop_sql())


def test_a_changed_or_dropped_grant_takes_along_what_a_parallel_migration_granted(table: Site) -> None:
    def grant(**privileges: list[str]) -> TableGrant:
        return TableGrant(schema="public", table=ODD, role="anon", privileges=privileges)

    run(table, grant(select=["id"]).create_sql())
    bare, both = table.catalog(), [*grant(update=[]).create_sql(), *grant(insert=[ODD]).create_sql()]
    run(table, [*both, *grant(select=["id"]).replace_sql(grant(select=["id"], update=[]))])
    assert differences(table.catalog(), bare) == {}
    run(table, [*both, *grant(select=["id"]).drop_sql()])
    kinds = "relation privileges", "column privileges"
    assert [row for kind in kinds for row in table.catalog()[kind] if "anon" in row] == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=grants, new=grants, removed=st.sets(st.sampled_from(["id", ODD])))
def test_a_narrowed_grant_never_has_more_than_either_side(table: Site, old: Any, new: Any, removed: set[str]) -> None:
    first, second = (
        TableGrant(schema="public", table=ODD, role="anon", privileges=privileges) for privileges in (old, new)
    )
    narrowed = first.narrowed(second, {TABLE: frozenset(removed)})
    if narrowed is not None:
        assert narrowed._items <= first._items & second._items
        assert not narrowed.columns_held[TABLE] & removed


def test_a_changed_comment_forgets_what_is_gone(table: Site) -> None:
    old = Comment(schema="odd", name=ODD, text="old", columns={ODD: "old"})
    new = Comment(schema="odd", name=ODD, text="", columns={})
    run(table, [*VIEW.create_sql(), *old.create_sql()])
    run(table, new.replace_sql(old) or [])
    with_comments = [row for row in table.catalog()["columns"] if row[-1]]
    assert with_comments == []
    run(table, VIEW.drop_sql())


def test_a_schema_that_others_made_or_use_is_not_dropped(table: Site) -> None:
    run(table, Schema(name="odd").drop_sql())
    run(table, [*Schema(name="new").create_sql(), "CREATE TABLE new.something ()", *Schema(name="new").drop_sql()])
    assert {row[0] for row in table.catalog()["schemas"]} >= {"odd", "new"}


def test_usage_of_a_schema_stays_while_a_role_has_something_in_it(table: Site) -> None:
    usage = SchemaGrant(schema="odd", role="anon")
    grant = TableGrant(schema="odd", table=ODD, role="anon", privileges={"select": []})
    run(table, [*VIEW.create_sql(), *usage.create_sql(), *grant.create_sql(), *usage.drop_sql()])
    assert ("odd", "anon", "USAGE", False) in table.catalog()["schema privileges"]
    run(table, [*grant.drop_sql(), *usage.drop_sql()])
    assert ("odd", "anon", "USAGE", False) not in table.catalog()["schema privileges"]


def test_a_function_is_closed_to_everybody(table: Site) -> None:
    run(table, [*FUNCTION.create_sql(), *TRIGGER_FUNCTION.create_sql()])
    assert table.catalog()["function privileges"] == frozenset()
    replaced = Function(**{**vars(FUNCTION), "body": "RETURN a + 2"})
    run(table, replaced.replace_sql(FUNCTION) or [])
    assert table.catalog()["function privileges"] == frozenset()


@pytest.mark.parametrize("comment", ["Adds.\n\nOne to a.", ""])
def test_a_function_says_what_its_newest_value_says(table: Site, comment: str) -> None:
    run(table, FUNCTION.create_sql())
    replaced = Function(**{**vars(FUNCTION), "comment": comment})
    run(table, replaced.replace_sql(FUNCTION) or [])
    fresh = table.catalog()["functions"]
    run(table, [*replaced.drop_sql(), *replaced.create_sql()])
    assert table.catalog()["functions"] == fresh
    assert {row[3] for row in fresh} == {comment or None}


def test_a_shared_function_stays_while_a_trigger_uses_it(table: Site) -> None:
    function = SharedFunction(**{**vars(TRIGGER_FUNCTION), "security_definer": False})
    trigger = Trigger(schema="public", table=ODD, name=ODD, event="BEFORE INSERT", function=("odd", "stamp"))
    run(table, [*function.create_sql(), *trigger.create_sql(), *function.drop_sql()])
    assert {row[1] for row in table.catalog()["functions"]} == {"stamp"}
    run(table, [*trigger.drop_sql(), *function.drop_sql(), *function.drop_sql()])
    assert table.catalog()["functions"] == frozenset()


def test_a_definer_function_pins_its_search_path(table: Site) -> None:
    run(table, TRIGGER_FUNCTION.create_sql())
    paths = table.query("SELECT proconfig FROM pg_proc WHERE prosecdef AND proname = 'stamp'")
    assert paths == [(["search_path=pg_catalog, pg_temp"],)]


def test_a_function_runs_with_its_settings(table: Site) -> None:
    # Not one that nobody has defined: a superuser alone may name it.
    values = {"enable_seqscan": "off", "plpgsql.extra_errors": "none", "application_name": "it's"}
    function = Function(**{**vars(TRIGGER_FUNCTION), "settings": values})
    run(table, function.create_sql())
    assert table.query("SELECT proconfig[2:] FROM pg_proc WHERE proname = 'stamp'") == [
        (["application_name=it's", "enable_seqscan=off", "plpgsql.extra_errors=none"],)
    ]


names = st.text(min_size=1, max_size=30).filter(lambda name: "\x00" not in name and len(name.encode()) <= MAX_BYTES)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=names.filter(lambda name: all(not 0xD800 <= ord(letter) < 0xE000 for letter in name)), text=st.text())
def test_any_name_and_any_text_are_quoted_so_that_postgresql_reads_them_back(site: Site, name: str, text: str) -> None:
    if "\x00" in text:
        with pytest.raises(IdentifierError, match="NUL"):
            quote_text(text)
        return
    if any(0xD800 <= ord(letter) < 0xE000 for letter in text):
        return
    with connections[site.alias].cursor() as cursor:
        cursor.execute(f"SELECT {quote_text(text)} AS {quote_name(name)}", None)
        assert [column.name for column in cursor.description] == [name]
        assert cursor.fetchone() == (text,)


def test_a_text_that_utf8_cannot_hold_is_refused() -> None:
    with pytest.raises(IdentifierError, match="UTF-8"):
        quote_text("\ud800")


@pytest.mark.parametrize(("name", "message"), [("", "empty"), ("a\x00b", "NUL"), ("ä" * 32, "64 bytes")])
def test_a_name_that_postgresql_cannot_hold_is_refused(name: str, message: str) -> None:
    with pytest.raises(IdentifierError, match=message):
        quote_name(name)


def test_long_derived_names_stay_different() -> None:
    first, second = shorten("ä" * 60 + "a"), shorten("ä" * 60 + "b")
    assert first != second
    assert max(len(name.encode()) for name in (first, second)) <= MAX_BYTES
    assert shorten("short") == "short"


def test_the_catalog_reader_sees_a_difference(table: Site) -> None:
    """A comparison that could not fail would prove nothing."""
    before = read_catalog(connections[table.alias])
    for change in (
        "GRANT SELECT (id) ON {0} TO anon",
        "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY",
        "COMMENT ON COLUMN {0}.id IS 'x'",
        "ALTER TABLE {0} ALTER id SET DEFAULT 1",
        "CREATE INDEX ON {0} (id)",
        "GRANT USAGE ON SCHEMA odd TO anon",
    ):
        run(table, [change.format(TABLE)])
        after = read_catalog(connections[table.alias])
        assert differences(before, after) != {}, change
        before = after
