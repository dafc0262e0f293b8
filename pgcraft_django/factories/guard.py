"""Tables whose rows are never changed: logs and ledgers.

What changes no row is let pass, such as the UPDATE with which `loaddata` begins, or the DELETE of a cascade that finds
nothing. TRUNCATE has a guard of its own, which steps aside in test databases: Django empties them with it.
"""

from collections.abc import Iterator

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.creation import TEST_DATABASE_PREFIX

from pgcraft_django.bodies import read_body
from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.objects import DatabaseObject, SharedFunction, Trigger
from pgcraft_django.objects.trigger import GUARD, TRUNCATE_GUARD

LOG_GUARD = "pgcraft_guard_log"
"""Name of the function for logs."""
INSERT_GUARD = "pgcraft_guard_insert"
"""Name of the function and of the trigger for INSERT."""
OTHERS_GUARD = "pgcraft_guard_others"
"""Name of the function and of the trigger where the owner may insert."""

CALLER = "coalesce(nullif(pg_catalog.current_setting('role'), 'none'), session_user)"
"""Whose rights count where a function runs with those of its owner: SQL."""
KEEPING_TIMES = f"""\
pg_catalog.current_setting('check_function_bodies') = 'off'
AND pg_catalog.has_table_privilege(
    {CALLER}, TG_RELID, 'TRIGGER'
)"""
"""Whether rows come with the times that they have, from a dump or a fixture: SQL for functions of triggers."""
RESTORING = f"pg_catalog.current_setting('row_security') = 'off'\nAND {KEEPING_TIMES}"
"""Whether the rows of a dump come back, which are to stay as they were: SQL for functions of triggers.

Everything that `pg_dump` writes begins with these two settings. No application has them, but `fixtures` for a row. They
count only for who may make triggers on the table, and could do without ours: nobody gets more by them than they have.
"""


def by_hand(schema: str, table: str) -> str:
    """Return whether a row does not come from a trigger of the table's owner: SQL for the WHEN of triggers.

    Everybody may make triggers on tables of their own, so a row from just any trigger proves nothing: only one that
    runs as a role that may make triggers on this table counts.
    """
    relation = f"{quote_text(quote_name(schema, table))}::pg_catalog.regclass"
    return f"pg_catalog.pg_trigger_depth() = 0 OR NOT pg_catalog.has_table_privilege({relation}, 'TRIGGER')"


def guard(schema: str, table: str) -> Iterator[DatabaseObject]:
    """Yield what refuses UPDATE, DELETE and TRUNCATE of a table to everybody, its owner included."""
    yield from _guard_rows(schema, table, _function(schema))


def guard_log(schema: str, table: str) -> Iterator[DatabaseObject]:
    """Yield the same for a log, whose lines about a row are marked as `former` when another row takes its key."""
    body = read_body(__file__, "guard_log")
    function = SharedFunction(schema=schema, name=LOG_GUARD, returns="trigger", language="plpgsql", body=body)
    yield from _guard_rows(schema, table, function)


def _guard_rows(schema: str, table: str, function: SharedFunction) -> Iterator[DatabaseObject]:
    yield function
    yield Trigger(
        schema=schema,
        table=table,
        name=GUARD,
        event="BEFORE UPDATE OR DELETE",
        definition="FOR EACH ROW",
        function=(schema, function.name),
    )
    yield from guard_truncate(schema, table)


def guard_truncate(schema: str, table: str) -> Iterator[DatabaseObject]:
    """Yield what refuses TRUNCATE of a table to everybody: triggers for rows would not see what it removes."""
    yield _function(schema)
    yield Trigger(
        schema=schema,
        table=table,
        name=TRUNCATE_GUARD,
        event="BEFORE TRUNCATE",
        definition="FOR EACH STATEMENT",
        function=(schema, GUARD),
    )


def guard_insert(schema: str, table: str) -> Iterator[DatabaseObject]:
    """Yield what refuses INSERT to everybody, unless a trigger does it or a dump is restored."""
    yield from _guard_inserts(schema, table, INSERT_GUARD, read_body(__file__, "guard_insert", restoring=RESTORING))


def guard_others(schema: str, table: str) -> Iterator[DatabaseObject]:
    """Yield what refuses INSERT to who may write to all tables, but is no owner; owners bring fixtures and dumps."""
    yield from _guard_inserts(schema, table, OTHERS_GUARD, read_body(__file__, "guard_others"))


def _guard_inserts(schema: str, table: str, name: str, body: str) -> Iterator[DatabaseObject]:
    yield SharedFunction(schema=schema, name=name, returns="trigger", language="plpgsql", body=body)
    yield Trigger(
        schema=schema,
        table=table,
        name=name,
        event="BEFORE INSERT",
        # Without a WHEN, which would cost more than the function: PostgreSQL reads it anew for each statement.
        definition="FOR EACH STATEMENT",
        function=(schema, name),
    )


def _function(schema: str) -> SharedFunction:
    return SharedFunction(
        schema=schema,
        name=GUARD,
        returns="trigger",
        language="plpgsql",
        body=read_body(__file__, "guard", restoring=RESTORING),
    )


def let_tests_truncate(using: str) -> None:
    """After `migrate`, take the guards against TRUNCATE off if this is a test database during a test run."""
    connection = connections[using]
    if connection.vendor != "postgresql" or not _is_for_tests(connection):
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT n.nspname, c.relname
            FROM pg_catalog.pg_trigger t
            JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE t.tgname = %s AND t.tgenabled <> 'D'
            """,
            [TRUNCATE_GUARD],
        )
        for schema, table in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {quote_name(schema, table)} DISABLE TRIGGER {quote_name(TRUNCATE_GUARD)}")


def _is_for_tests(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether Django's test runner is at work, and on a database that it has made for it."""
    from django.core import mail  # a tenth of a start-up

    if not hasattr(mail, "outbox"):  # it is there from setup_test_environment() on
        return False
    name = str(connection.settings_dict["NAME"])
    return name.startswith(TEST_DATABASE_PREFIX) or name == connection.settings_dict["TEST"]["NAME"]
