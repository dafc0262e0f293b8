"""Who and why: what `history_context()` says is in every log, and nowhere else."""

import asyncio
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.apps.registry import Apps
from django.db import IntegrityError, connections, transaction
from django.utils.translation import gettext_lazy
from psycopg import sql

from pgcraft_django import history_context
from pgcraft_django.attribution.statements import Effect, effect_of
from tests.history.conftest import Place, define
from tests.state_machine.orders import declare
from tests.support.databases import new_alias
from tests.support.world import World, new_site


def declare_both(apps: Apps) -> None:
    define(apps)
    declare(apps)


@pytest.fixture(scope="module")
def both(django_db_blocker: Any) -> Iterator[Place]:
    with django_db_blocker.unblock(), new_site() as site:
        place = Place(World(), site)
        place.evolve(declare_both)
        place.query("""
            CREATE FUNCTION shout(key bigint) RETURNS void LANGUAGE sql
            BEGIN ATOMIC UPDATE private.students SET name = name || '!' WHERE id = key; END
        """)
        yield place


@pytest.fixture
def school(both: Place, unblocked: None) -> Place:
    """The place with one student, Ann."""
    both.rows().all().delete()
    both.rows().create(name="Ann")
    return both


def change(place: Place) -> None:
    place.query("UPDATE students SET name = name || '.'")


def change_and_fail(place: Place) -> None:
    change(place)
    raise ZeroDivisionError


def last(place: Place, number: int = 1) -> list[tuple[str | None, str | None]]:
    """Return actor and reason of the last versions, oldest first."""
    return place.query("SELECT actor, reason FROM students_history ORDER BY history_id DESC LIMIT %s", [number])[::-1]


def settings(place: Place) -> list[tuple[Any, ...]]:
    return place.query("""
        SELECT coalesce(current_setting('pgcraft.actor', true), ''),
               coalesce(current_setting('pgcraft.reason', true), '')
    """)


@contextmanager
def sent(place: Place, path: Path) -> Iterator[list[str]]:
    """Yield a list that has, after the block, what the driver sent to the server."""
    found: list[str] = []
    connections[place.site.alias].ensure_connection()
    pgconn = connections[place.site.alias].connection.pgconn
    with path.open("w+") as file:
        pgconn.trace(file.fileno())
        try:
            yield found
        finally:
            pgconn.untrace()
        file.seek(0)
        found += re.findall(r"\tF\t\d+\t(?:Query|Parse)\t(.*?)(?=\n\d{4}-)", file.read(), re.DOTALL)


def test_each_way_of_writing_is_attributed(school: Place) -> None:
    alias = school.site.alias
    with history_context(actor="alice", reason="typo"):
        student = school.rows().get()
        student.name = "Anna"
        student.save(using=alias)
        school.rows().update(name="b")
        school.rows().bulk_update([school.model("Student")(id=student.id, name="c")], ["name"])
        school.rows().bulk_create(
            [school.model("Student")(id=student.id, name="d")],
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["name"],
        )
        with connections[alias].cursor() as cursor:
            cursor.execute("UPDATE students SET name = 'e'")
            cursor.execute(sql.SQL("UPDATE {} SET name = 'f'").format(sql.Identifier("students")))
            cursor.execute(b"UPDATE students SET name = 'g'")
            cursor.executemany("UPDATE students SET name = %s", [["h"], ["i"]])
            cursor.execute("/* why */ WITH x AS (UPDATE students SET name = 'j' RETURNING 1) SELECT * FROM x")
            cursor.execute("SELECT shout(%s)", [student.id])
        student.delete(using=alias)
    assert last(school, 12) == [("alice", "typo")] * 12
    change(school)


def test_the_log_of_a_state_machine_knows_it_too(school: Place) -> None:
    orders = school.model("Order")._base_manager.using(school.site.alias)
    with history_context(actor="alice", reason="paid"):
        order = orders.create(total=5)
        order.state_machine.transition("confirmed")
        order.state_machine.transition("shipped", reason="in a hurry")
    found = list(order.state_machine.history.values_list("actor", "reason"))
    assert found == [("alice", "paid"), ("alice", "paid"), ("alice", "in a hurry")]


def test_blocks_nest_and_say_only_what_differs(school: Place) -> None:
    def said() -> tuple[str | None, str | None]:
        change(school)
        return last(school)[0]

    for block in (transaction.Atomic(school.site.alias, True, False), history_context()):
        with block:
            assert said() == (None, None)
            with history_context(actor="a", reason="r"):
                assert said() == ("a", "r")
                with history_context(reason="s"):
                    assert said() == ("a", "s")
                    with history_context(actor="", reason=lambda: None):
                        assert said() == (None, "s")
                assert said() == ("a", "r")
            assert said() == (None, None)


def test_nothing_is_left_behind(school: Place) -> None:
    for block in (transaction.Atomic(school.site.alias, True, False), history_context()):
        with pytest.raises(ZeroDivisionError), block, history_context(actor="a", reason="r"):
            change_and_fail(school)
        assert settings(school) == [("", "")]
        change(school)
        assert last(school) == [(None, None)]
    with history_context(actor="a"), pytest.raises(IntegrityError):
        school.query("INSERT INTO students (name) VALUES (NULL)")
    assert settings(school) == [("", "")]


def test_a_block_of_a_generator_that_waits_ends_with_the_block_around_it(school: Place) -> None:
    def parts() -> Iterator[int]:
        with history_context(actor="inside"):
            yield 1

    waiting = parts()
    with history_context(actor="a"):
        next(waiting)
    change(school)
    assert last(school) == [(None, None)]
    with history_context(actor="b"):
        waiting.close()
        change(school)
    assert last(school) == [("b", None)]


def test_what_a_session_says_of_itself_holds_around_a_block_and_where_it_says_nothing(school: Place) -> None:
    school.query("SELECT set_config('pgcraft.actor', 'importer', false)")
    try:
        with transaction.atomic(using=school.site.alias):
            change(school)
            with history_context(reason="r"):
                change(school)
            with history_context(actor="a"):
                change(school)
            change(school)
        assert last(school, 4) == [("importer", None), ("importer", "r"), ("a", None), ("importer", None)]
        change(school)
        assert last(school) == [("importer", None)]
    finally:
        school.query("RESET pgcraft.actor")


def test_a_rollback_that_takes_the_settings_back_is_noticed(school: Place) -> None:
    alias = school.site.alias
    with history_context(actor="a"), transaction.atomic(using=alias):
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
            change_and_fail(school)
        change(school)
        assert last(school) == [("a", None)]
        with history_context(actor="b"):
            school.query("SAVEPOINT mine")
            with history_context(actor="c"):
                change(school)
            school.query("ROLLBACK TO SAVEPOINT mine")
            change(school)
            assert last(school) == [("b", None)]
        school.query("ROLLBACK TO SAVEPOINT mine")
        change(school)
        assert last(school) == [("a", None)]
    change(school)
    assert last(school) == [(None, None)]


def test_a_savepoint_of_a_block_may_be_left_after_the_block(school: Place) -> None:
    with transaction.atomic(using=school.site.alias):
        with history_context(actor="a"):
            change(school)
            school.query("SAVEPOINT mine")
        change(school)
        school.query("ROLLBACK TO mine")
        change(school)
    assert last(school, 2) == [("a", None), (None, None)]


def test_each_transaction_is_told_also_if_it_begins_past_django(school: Place) -> None:
    with history_context(actor="a"):
        for _ in range(2):
            with transaction.atomic(using=school.site.alias), connections[school.site.alias].cursor() as cursor:
                with cursor.copy("COPY (SELECT 1) TO STDOUT") as rows:
                    list(rows)
                change(school)
    assert last(school, 2) == [("a", None)] * 2


def test_transactions_by_hand_are_told_too(school: Place) -> None:
    connection = connections[school.site.alias]
    with history_context(actor="a"):
        for begin, end in (("BEGIN", "COMMIT"), ("START TRANSACTION", "END")):
            school.query(begin)
            change(school)
            school.query(f"{end} AND CHAIN")
            change(school)
            school.query(end)
            assert last(school, 2) == [("a", None)] * 2
        connection.set_autocommit(False)
        try:
            for _ in range(2):
                change(school)
                connection.commit()
                assert last(school) == [("a", None)]
                connection.rollback()
        finally:
            connection.set_autocommit(True)
    assert settings(school) == [("", "")]


def test_statements_that_need_no_transaction_still_run(school: Place) -> None:
    with history_context(actor="a"):
        for statement in ("VACUUM students", "CREATE INDEX CONCURRENTLY by_name ON students (name)"):
            school.query(statement)
        school.query("DROP INDEX by_name")
        school.query("DO $$ BEGIN COMMIT; END $$")


def test_reads_send_nothing_and_a_transaction_is_told_once(school: Place, tmp_path: Path) -> None:
    alias, asked = school.site.alias, []

    def actor() -> str:
        asked.append(1)
        return "a"

    with history_context(actor=actor), sent(school, tmp_path / "reads") as found:
        list(school.rows().filter(name__startswith="A").order_by("name")[:5])
        school.rows().count()
        list(school.rows().select_related("school").values_list("school__name", "name").distinct())
        list(school.rows().iterator())
        with transaction.atomic(using=alias):
            list(school.rows().all())
    assert (len([query for query in found if "set_config" in query]), asked) == (0, [])
    with history_context(actor="a"), sent(school, tmp_path / "writes") as found, transaction.atomic(using=alias):
        for _ in range(3):
            change(school)
    assert len([query for query in found if "set_config" in query]) == 1
    with sent(school, tmp_path / "none") as found:
        change(school)
    assert len(found) == 1


def test_a_statement_outside_of_a_transaction_is_sent_at_once_with_the_settings(school: Place, tmp_path: Path) -> None:
    with history_context(actor="it's 100%", reason="\\"), sent(school, tmp_path / "saved") as found:
        for name in ("one %s; two", "three"):
            ann = school.rows().get()
            ann.name = name
            ann.save()
        key = school.rows().create(name="%(name)s").pk
        assert school.query("UPDATE students SET name = '50%%' WHERE id = %s RETURNING name", [key]) == [("50%",)]
        assert school.query("DELETE FROM students WHERE name = '50%' RETURNING id") == [(key,)]
    assert not any("BEGIN" in query or "COMMIT" in query for query in found)
    assert last(school, 4) == [("it's 100%", "\\")] * 4
    assert school.rows().get().name == "three"


def test_saying_it_opens_no_connection(school: Place) -> None:
    connections[school.site.alias].close()
    with history_context(actor="a"):
        assert connections[school.site.alias].connection is None
        change(school)
    assert last(school) == [("a", None)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("O'Neill; DROP TABLE students; --", None),
        ("100 % %s %(x)s {x}", None),
        ('\\x41 "quoted" ünï 🦆\n\t ', None),
        ("x" * 100_000, None),
        (7, "7"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (gettext_lazy("Yes"), "Yes"),
        (lambda: 8, "8"),
    ],
    ids=range(8),
)
def test_any_text_is_kept_as_it_is(school: Place, value: Any, text: str | None) -> None:
    with history_context(actor=value, reason=value):
        change(school)
    assert last(school) == [(text or value,) * 2]


def test_what_is_no_text_is_refused_at_once(school: Place) -> None:
    for wrong in ("nul \x00", "lone \ud800"):
        with pytest.raises(ValueError, match="PostgreSQL cannot hold"):
            history_context(actor=wrong)
        with (
            pytest.raises(ValueError, match="PostgreSQL cannot hold"),
            history_context(reason=lambda wrong=wrong: wrong),
        ):
            change(school)
    with pytest.raises(TypeError, match=r"actor of history_context\(\) is a text, not \["):
        history_context(actor=["alice"])  # type: ignore[arg-type]
    assert settings(school) == [("", "")]


def test_a_function_that_knows_may_ask_and_write_itself(school: Place) -> None:
    def actor() -> str:
        change(school)
        return school.rows().get().name[:3]

    with history_context(actor=actor), transaction.atomic(using=school.site.alias):
        change(school)
        change(school)
    assert last(school, 4) == [(None, None), ("Ann", None)] * 2


def test_threads_and_tasks_have_their_own(school: Place) -> None:
    barrier = threading.Barrier(4)

    def write(name: str | None) -> None:
        try:
            if name is None:
                barrier.wait(10)
                change(school)
                return
            with history_context(actor=name):
                barrier.wait(10)
                change(school)
        finally:
            connections[school.site.alias].close()

    with history_context(actor="outside"), ThreadPoolExecutor(4) as pool:
        list(pool.map(write, ["a", "b", "c", None]))
    assert set(last(school, 4)) == {("a", None), ("b", None), ("c", None), (None, None)}

    async def task(name: str) -> None:
        async with history_context(actor=name):
            await asyncio.sleep(0)
            await sync_to_async(change)(school)

    async def tasks() -> None:
        await asyncio.gather(*(task(name) for name in "xyz"))
        await sync_to_async(change)(school)

    async_to_sync(tasks)()
    assert sorted(last(school, 4), key=str) == [("x", None), ("y", None), ("z", None), (None, None)]


def test_functions_and_coroutine_functions_are_decorated(school: Place) -> None:
    @history_context(actor="nightly")
    def write(times: int) -> int:
        change(school)
        return write(times - 1) + 1 if times else 0

    @history_context(actor="nightly", reason="async")
    async def write_later() -> None:
        await asyncio.sleep(0)
        await sync_to_async(change)(school)

    assert (write(1), write.__name__) == (1, "write")
    async_to_sync(write_later)()
    assert last(school, 3) == [("nightly", None), ("nightly", None), ("nightly", "async")]
    with pytest.raises(TypeError, match="inside of it"):

        @history_context(actor="nightly")
        def rows() -> Iterator[int]:
            yield 1


def test_a_wrapper_of_somebody_else_is_let_be(school: Place) -> None:
    connection, seen = connections[school.site.alias], []

    def wrapper(execute: Any, *arguments: Any) -> Any:
        seen.append(arguments[0])
        return execute(*arguments)

    connection.close()
    with connection.execute_wrapper(wrapper), history_context(actor="a"):
        change(school)
    change(school)
    assert (len(seen), last(school, 2)) == (1, [("a", None), (None, None)])


def test_parameters_may_be_bound_by_the_server(school: Place) -> None:
    settings = connections.settings[school.site.alias]
    options = {**settings["OPTIONS"], "server_side_binding": True}
    with new_alias("other", {**settings, "OPTIONS": options}):
        for _ in range(2):
            with history_context(actor="it's 🦆", reason="%s"), connections["other"].cursor() as cursor:
                cursor.execute("UPDATE students SET name = %s", ["a"])
                cursor.execute("UPDATE students SET name = %s", ["b"])
            assert last(school, 2) == [("it's 🦆", "%s")] * 2
            connections["other"].close()
        with connections["other"].cursor() as cursor:
            cursor.execute("UPDATE students SET name = %s", ["c"])
        assert last(school) == [(None, None)]


def test_a_token_counts_more(school: Place) -> None:
    with history_context(actor="a", reason="r"), transaction.atomic(using=school.site.alias):
        school.query("""SELECT set_config('request.jwt.claims', '{"sub": "bob"}', true)""")
        change(school)
    assert last(school) == [("bob", "r")]


def test_an_error_at_the_commit_is_one_of_django(school: Place) -> None:
    school.query("ALTER TABLE students ADD CONSTRAINT once UNIQUE (name) DEFERRABLE INITIALLY DEFERRED")
    try:
        with history_context(actor="a"), pytest.raises(IntegrityError, match="once"):
            school.query("INSERT INTO students (name, data, marks) VALUES ('Ann', '{}', '{}')")
    finally:
        school.query("ALTER TABLE students DROP CONSTRAINT once")
    assert settings(school) == [("", "")]


@pytest.mark.parametrize(
    ("statement", "effect"),
    [
        ("SELECT 1", Effect.NONE),
        ('( SELECT "a"."id" FROM "a" WHERE "a"."id" IN (%s, %s)) UNION (SELECT COUNT(*) FROM b)', Effect.NONE),
        ('SELECT "a"."id" FROM "a" WHERE EXISTS(SELECT 1 FROM "b" U0 WHERE U0."a" = ("a"."id") LIMIT 1)', Effect.NONE),
        ("SELECT 1 + (2), (a) || (b), x <> (%s)", Effect.NONE),
        ("-- update\n/* delete */ select now()", Effect.NONE),
        ("VALUES (1)", Effect.NONE),
        ('SAVEPOINT "s1"', Effect.NONE),
        ("SET LOCAL x = 1;", Effect.NONE),
        ("SET LOCAL x = 1; UPDATE a SET b = 1", Effect.UNKNOWN),
        ("SELECT 1; UPDATE a SET b = 1", Effect.CHANGES),
        ("SELECT pay(1)", Effect.CHANGES),
        ("SELECT * FROM count.pay(1)", Effect.CHANGES),
        ('SELECT shop . count (1), "shop"."count"(1)', Effect.CHANGES),
        ('SELECT "größe"\n(1)', Effect.CHANGES),
        ("SELECT pay/* now */(1)", Effect.CHANGES),
        ("SELECT 1 = pay(1)", Effect.CHANGES),
        ("SELECT pay€(1)", Effect.CHANGES),
        ('SELECT 1 = "="(1)', Effect.CHANGES),
        ("SELECT E'\\'', pay(1), ''", Effect.CHANGES),
        ("SELECT * FROM a FOR UPDATE", Effect.CHANGES),
        ("WITH a AS (DELETE FROM b RETURNING *) SELECT * FROM a", Effect.CHANGES),
        ("EXPLAIN ANALYZE EXECUTE p", Effect.CHANGES),
        ("insert into a default values", Effect.CHANGES),
        ("COPY a FROM '/x'", Effect.CHANGES),
        ("CALL pay()", Effect.UNKNOWN),
        ("", Effect.UNKNOWN),
        ("rollback to savepoint s1", Effect.UNDOES),
    ],
)
def test_what_a_statement_may_do(statement: str, effect: Effect) -> None:
    assert effect_of(statement) is effect
