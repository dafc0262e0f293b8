"""What those who mean harm, or make a mistake, cannot do to a history: each role, and the application itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, connections
from django.db.transaction import atomic

from tests.history.conftest import Place
from tests.support.databases import run_sql

REFUSED = "never changed or removed"
APPLICATION = "application_of_histories"


@pytest.fixture
def victim(students: Place) -> Place:
    """A student of two versions, and one of them in the history."""
    students.query("INSERT INTO students (id, name, data, marks) VALUES (1, 'a', '{}', '{}')")
    students.query("UPDATE students SET name = 'b'")
    return students


@contextmanager
def role(place: Place, name: str, **settings: str) -> Iterator[None]:
    """Be a role, with settings that it chooses, in a transaction that is taken back."""
    with atomic(using=place.site.alias), connections[place.site.alias].cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {name}")
        for setting, value in settings.items():
            cursor.execute("SELECT set_config(%s, %s, true)", [setting.replace("__", "."), value])
        yield
        connections[place.site.alias].set_rollback(True)


def refused(place: Place, statement: str) -> str:
    """Execute a statement that must be refused; return why it was."""
    alias = place.site.alias
    with pytest.raises(DatabaseError) as caught, atomic(using=alias):
        place.query(statement)
    return str(caught.value)


def copy(place: Place, statement: str, line: str) -> None:
    with (
        atomic(using=place.site.alias),
        connections[place.site.alias].cursor() as cursor,
        cursor.copy(statement) as rows,
    ):
        rows.write(line)


CHANGES = (
    "UPDATE private.students_history SET name = 'x'",
    "DELETE FROM private.students_history",
    "TRUNCATE private.students_history",
    "MERGE INTO private.students_history USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
    "TRUNCATE private.students",
)
"""What nobody may do."""

WRITES = (
    *CHANGES,
    "UPDATE private.students_history SET actor = 'x' WHERE false",
    "INSERT INTO private.students_history (id, version, valid_from, valid_to, operation)"
    " VALUES (1, 7, now(), now(), 'update')",
    "ALTER TABLE private.students_history DISABLE TRIGGER ALL",
    "ALTER TABLE private.students DISABLE TRIGGER ALL",
    "DROP TABLE private.students_history",
)
"""What no role of the API may do."""


@pytest.mark.parametrize("name", ["anon", "webuser"])
def test_no_role_of_the_api_gets_at_the_history(victim: Place, name: str) -> None:
    before = victim.query("SELECT * FROM students_history")
    with role(victim, name):
        for statement in WRITES:
            assert "permission denied" in refused(victim, statement) or "must be owner" in refused(victim, statement)
        for statement in (
            "SET session_replication_role = replica",
            "COPY private.students_history (name) FROM STDIN",
            "COPY api.students_history (name) FROM STDIN",
            "SELECT setval('private.students_history_history_id_seq', 1)",
        ):
            message = refused(victim, statement)
            assert "permission denied" in message or "cannot copy to view" in message, statement
    assert victim.query("SELECT * FROM students_history") == before


def test_the_application_that_owns_the_tables_cannot_change_what_was(victim: Place) -> None:
    """Not even with the settings that a restore of a dump has, or with a trigger's function called by hand."""
    settings = connections[victim.site.alias].settings_dict
    owner, database = settings["USER"], settings["NAME"]
    run_sql(f"DROP ROLE IF EXISTS {APPLICATION}")
    run_sql(f"CREATE ROLE {APPLICATION} NOLOGIN ROLE {owner}")
    try:
        victim.query(f"GRANT ALL ON SCHEMA private TO {APPLICATION}")
        for table in ("students", "students_history"):
            victim.query(f"ALTER TABLE private.{table} OWNER TO {APPLICATION}")
        dump = {"row_security": "off", "check_function_bodies": "off", "pgcraft__transition": "{}"}
        before = victim.query("SELECT * FROM students_history")
        with role(victim, APPLICATION, **dump):
            for statement in CHANGES:
                assert REFUSED in refused(victim, statement), statement
            assert "permission denied" in refused(victim, "SET session_replication_role = replica")
        assert victim.query("SELECT * FROM students_history") == before
    finally:
        run_sql(f"REASSIGN OWNED BY {APPLICATION} TO {owner}; DROP OWNED BY {APPLICATION}", database=database)
        run_sql(f"DROP ROLE {APPLICATION}")


def test_functions_of_triggers_are_of_no_use_by_themselves(victim: Place) -> None:
    names = victim.query("SELECT oid::regprocedure::text FROM pg_proc WHERE proname LIKE 'students_history_%%'")
    assert len(names) == 5
    victim.query("GRANT USAGE ON SCHEMA private TO webuser")
    with role(victim, "webuser"):
        for [name] in names:
            assert "permission denied for function" in refused(victim, f"SELECT {name}")
            statement = (
                f"CREATE TEMP TABLE bait (id bigint); CREATE TRIGGER t AFTER INSERT ON bait EXECUTE FUNCTION {name}"
            )
            assert "permission denied for" in refused(victim, statement)


def test_a_role_cannot_put_something_of_its_own_in_the_place_of_what_is_used(victim: Place) -> None:
    """Temporary tables, types, operators and a search path: what triggers write goes to the real history."""
    alias = victim.site.alias
    with atomic(using=alias), connections[alias].cursor() as cursor:
        [[database]] = victim.query("SELECT current_database()")
        cursor.execute(f'GRANT TEMPORARY ON DATABASE "{database}" TO webuser')
        cursor.execute("SET LOCAL ROLE webuser")
        for table in ("students", "students_history", "old_rows", "new_rows", "pg_class"):
            cursor.execute(f"CREATE TEMP TABLE {table} (id bigint, name text, version int, valid_from timestamptz)")
        for name in ("jsonb", "interval", "timestamptz", "text"):
            cursor.execute(f"CREATE DOMAIN pg_temp.{name} AS pg_catalog.int4 CHECK (false)")
        cursor.execute("SET LOCAL search_path = pg_temp, pg_catalog")
        cursor.execute("INSERT INTO api.students (id, name) VALUES (5, 'x')")
        cursor.execute("UPDATE api.students SET name = 'y' WHERE id = 5")
        cursor.execute("DELETE FROM api.students WHERE id = 5")
        for table in ("students", "students_history"):
            cursor.execute(f"SELECT count(*) FROM pg_temp.{table}")
            assert cursor.fetchone() == (0,)
        cursor.execute("RESET ROLE")
        cursor.execute("RESET search_path")
        cursor.execute("SELECT name, version, operation FROM private.students_history WHERE id = 5 ORDER BY version")
        assert cursor.fetchall() == [("x", 1, "update"), ("y", 2, "delete")]
        cursor.execute("DROP OWNED BY webuser")
        connections[alias].set_rollback(True)


def test_what_a_session_sets_changes_nothing_but_who_and_why(victim: Place) -> None:
    """A connection may say on whose behalf it writes; a request's token counts more. Nothing else is believed."""
    hostile: dict[str, Any] = {
        "pgcraft__actor": "x'); DROP TABLE private.students; --",
        "pgcraft__reason": "\\'\"%s %(a)s {}",
        "pgcraft__version": "9",
        "pgcraft__transition": '{"version": 9}',
        "row_security": "off",
        "check_function_bodies": "off",
        "standard_conforming_strings": "off",
        "IntervalStyle": "sql_standard",
        "DateStyle": "German",
        "TimeZone": "Asia/Kathmandu",
        "enable_indexscan": "off",
        "plan_cache_mode": "force_custom_plan",
        "extra_float_digits": "-15",
        "bytea_output": "escape",
        "default_transaction_isolation": "serializable",
        "transform_null_equals": "on",
    }
    with role(victim, "webuser", **hostile):
        victim.query("UPDATE api.students SET name = 'c'")
        told = victim.query("SELECT version, actor, reason FROM api.students_history ORDER BY version")
        assert told[-1] == (2, hostile["pgcraft__actor"], hostile["pgcraft__reason"])
        victim.query("""SELECT set_config('request.jwt.claims', '{"sub": "alice"}', true)""")
        victim.query("UPDATE api.students SET name = 'd'")
        told = victim.query("SELECT actor, valid_from < valid_to FROM api.students_history ORDER BY version")
        assert told[-1] == ("alice", True)


def test_what_a_row_is_copied_in_or_upserted_as_is_numbered_by_the_database(victim: Place) -> None:
    victim.query("DELETE FROM students")
    copy(victim, "COPY private.students (id, name, data, marks, version) FROM STDIN", "1\tz\t{}\t{}\t1\n")
    assert victim.query("SELECT version FROM students") == [(3,)]
    with role(victim, "webuser"):
        stamps = victim.query("SELECT version, valid_from FROM api.students")
        upsert = "INSERT INTO api.students (id, name, version) VALUES (1, 'z', 9) ON CONFLICT (id) DO UPDATE SET "
        victim.query(f"{upsert} version = 9")
        victim.query(f"{upsert} version = excluded.version")
        victim.query("UPDATE api.students SET valid_from = '1970-01-01', version = 9")
        assert victim.query("SELECT version, valid_from FROM api.students") == stamps
        victim.query(f"{upsert} name = 'w', version = 9")
        assert victim.query("SELECT version, valid_from > '2025-01-01' FROM api.students") == [(4, True)]
