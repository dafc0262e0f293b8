"""Many writers of one row: no change is lost, and its periods stay one after the other."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.apps.registry import Apps
from django.db import IntegrityError, OperationalError, ProgrammingError, connections, models
from django.db.models import F

from pgcraft_django.models import PGCraftAppendOnly
from tests.history.conftest import Place
from tests.support.databases import administrator

SERIALIZATION_FAILURE = "40001"
WRITERS, TIMES = 8, 25

BROKEN_PERIODS = """
    WITH period AS (
        SELECT id, version, tstzrange(valid_from, valid_to) AS span FROM students_history
        UNION ALL
        SELECT id, version, tstzrange(valid_from, NULL) FROM students
    )
    SELECT *
    FROM period AS one
    JOIN period AS other USING (id)
    WHERE one.version < other.version AND one.span && other.span
"""


def declare(apps: Apps) -> None:
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "students"})
    fields = {"marks": models.IntegerField(default=0)}
    type("Student", (PGCraftAppendOnly,), {"__module__": __name__, "Meta": meta, **fields})


@pytest.fixture
def counter(place: Place) -> Place:
    place.evolve(declare)
    place.rows().create(id=1)
    return place


def state_of(error: BaseException) -> str | None:
    """Return the SQLSTATE behind an error of Django."""
    return getattr(error.__cause__, "sqlstate", None)


def at_once(place: Place, work: Callable[[int], Any]) -> None:
    """Let each of the writers do the work, all beginning at the same time."""
    barrier = threading.Barrier(WRITERS)

    def write(number: int) -> None:
        try:
            barrier.wait(timeout=30)
            for _ in range(TIMES):
                work(number)
        finally:
            connections[place.site.alias].close()

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))


def test_of_200_concurrent_additions_none_is_lost_and_each_is_a_version(counter: Place) -> None:
    at_once(counter, lambda number: counter.rows().filter(id=1).update(marks=F("marks") + 1))
    assert counter.query("SELECT marks, version FROM students") == [(200, 201)]
    assert counter.query("SELECT marks FROM students_history ORDER BY version") == [(number,) for number in range(200)]
    assert counter.query(BROKEN_PERIODS) == []


def test_a_row_that_comes_and_goes_is_never_there_twice(counter: Place) -> None:
    accepted: list[str] = []

    def come_and_go(number: int) -> None:
        if number % 2:
            accepted.extend("delete" for _ in range(counter.rows().filter(id=1).delete()[0]))
            return
        try:
            counter.rows().create(id=1, marks=number)
            accepted.append("insert")
        except IntegrityError:
            accepted.extend("update" for _ in range(counter.rows().filter(id=1).update(marks=F("marks") + 1)))
        except OperationalError as refused:
            if state_of(refused) != SERIALIZATION_FAILURE:
                raise

    at_once(counter, come_and_go)
    assert all(accepted.count(change) >= TIMES // 5 for change in ("insert", "delete"))
    versions = counter.query("SELECT version FROM students_history UNION ALL SELECT version FROM students ORDER BY 1")
    assert versions == [(number,) for number in range(1, len(versions) + 1)]
    ended = counter.query("SELECT operation FROM students_history")
    assert len(ended) == len(accepted) - accepted.count("insert")
    assert counter.query(BROKEN_PERIODS) == []


@pytest.fixture
def others(counter: Place) -> Iterator[psycopg.Connection]:
    """A connection of somebody else."""
    [[database]] = counter.query("SELECT current_database()")
    with administrator(database) as connection:
        connection.execute("SET search_path = private")
        yield connection


def insert_again(counter: Place) -> None:
    """See that the row can be inserted, changed and deleted, and that its periods are in order."""
    counter.query("INSERT INTO students (id, marks) VALUES (7, 0)")
    counter.query("UPDATE students SET marks = marks + 1 WHERE id = 7")
    counter.query("DELETE FROM students WHERE id = 7")
    versions = counter.query("SELECT version FROM students_history WHERE id = 7 ORDER BY version")
    assert versions == [(number,) for number in range(1, len(versions) + 1)]
    assert counter.query(BROKEN_PERIODS) == []


def test_an_insert_that_was_overtaken_is_refused_to_be_done_again(counter: Place, others: psycopg.Connection) -> None:
    """The INSERT has looked at the history, and waits; the key is used and given up; then the INSERT goes on."""
    counter.query("""
        CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.marks = 1 THEN PERFORM pg_advisory_xact_lock(1); END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER "~wait" BEFORE INSERT ON students FOR EACH ROW EXECUTE FUNCTION wait();
    """)
    others.execute("SELECT pg_advisory_lock(1)")

    def insert() -> None:
        try:
            counter.query("INSERT INTO students (id, marks) VALUES (7, 1)")
        finally:
            connections[counter.site.alias].close()

    with ThreadPoolExecutor(1) as pool:
        overtaken = pool.submit(insert)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while others.execute(waiting).fetchone() != (1,):
            assert not overtaken.done(), overtaken.exception()
        others.execute("INSERT INTO students (id, marks) VALUES (7, 0)")
        others.execute("DELETE FROM students WHERE id = 7")
        others.execute("SELECT pg_advisory_unlock(1)")
        refused = overtaken.exception(timeout=30)
    assert isinstance(refused, OperationalError)
    assert (state_of(refused), "given up by others" in str(refused)) == (SERIALIZATION_FAILURE, True)
    insert_again(counter)


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
@pytest.mark.parametrize("first", ["deletes", "inserts"])
def test_a_statement_that_gives_a_key_up_and_uses_it_is_refused_for_good(
    counter: Place, isolation: str, first: str
) -> None:
    """To do it again, as after `40001`, would not help."""
    moved = "WITH gone AS (DELETE FROM students RETURNING *) INSERT INTO students (id, marks) SELECT id, 2 FROM gone"
    if first == "inserts":  # it has all that it takes before the other part of the statement comes to its end
        moved += " LIMIT 1"
    counter.query(f"BEGIN ISOLATION LEVEL {isolation}")
    counter.query("SAVEPOINT part")
    with pytest.raises(ProgrammingError, match="One statement cannot delete a key of students"):
        counter.query(moved)
    counter.query("ROLLBACK TO part")
    counter.query("DELETE FROM students")
    counter.query("INSERT INTO students (id) VALUES (1)")
    counter.query("COMMIT")
    assert counter.query("SELECT marks, version FROM students") == [(0, 2)]


STORIES = {
    "come and gone": ["INSERT INTO students (id) VALUES (7)", "DELETE FROM students WHERE id = 7"],
    "gone": ["DELETE FROM students WHERE id = 7"],
    "gone, come and gone": [
        "DELETE FROM students WHERE id = 7",
        "INSERT INTO students (id) VALUES (7)",
        "DELETE FROM students WHERE id = 7",
    ],
}
"""What others do to a row: with the first, it was not there before or had a history only."""


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_transaction_with_a_snapshot_does_not_use_a_key_that_was_given_up_since(
    counter: Place, others: psycopg.Connection, isolation: str
) -> None:
    for earlier in (False, True):
        for story, statements in STORIES.items():
            if earlier or not story.startswith("come"):
                others.execute("INSERT INTO students (id) VALUES (7)")
            if earlier:
                others.execute("DELETE FROM students WHERE id = 7")
                if not story.startswith("come"):
                    others.execute("INSERT INTO students (id) VALUES (7)")
            counter.query(f"BEGIN ISOLATION LEVEL {isolation}")
            counter.query("SELECT FROM students")
            for statement in statements:
                others.execute(statement)
            with pytest.raises(OperationalError) as refused:
                counter.query("INSERT INTO students (id, marks) VALUES (7, 1), (8, 1)")
            assert state_of(refused.value) == SERIALIZATION_FAILURE, story
            counter.query("ROLLBACK")
            insert_again(counter)


def test_a_transaction_with_a_snapshot_inserts_as_any_other_does(counter: Place) -> None:
    counter.query("INSERT INTO students (id) VALUES (7)")
    counter.query("DELETE FROM students WHERE id = 7")
    before = counter.query("SELECT count(*) FROM students_history")
    counter.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
    counter.query("INSERT INTO students (id) VALUES (7), (8), (9)")
    counter.query("COMMIT")
    assert counter.query("SELECT id, version FROM students WHERE id > 1 ORDER BY id") == [(7, 2), (8, 1), (9, 1)]
    assert counter.query("SELECT count(*) FROM students_history") == before
    counter.query("DELETE FROM students WHERE id = 7")
    insert_again(counter)
