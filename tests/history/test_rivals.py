"""Many writers of one row: no change is lost, and its periods stay one after the other."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import IntegrityError, OperationalError, connections, models
from django.db.models import F

from pgcraft_django.models import PGCraftAppendOnly
from tests.history.conftest import Place

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
    def come_and_go(number: int) -> None:
        if number % 2:
            counter.rows().filter(id=1).delete()
        else:
            try:
                counter.rows().create(id=1, marks=number)
            except IntegrityError:
                counter.rows().filter(id=1).update(marks=F("marks") + 1)
            except OperationalError:
                pass  # others have used the key and given it up meanwhile: it may be done again

    at_once(counter, come_and_go)
    versions = counter.query("SELECT version FROM students_history UNION ALL SELECT version FROM students ORDER BY 1")
    assert versions == [(number,) for number in range(1, len(versions) + 1)]
    assert counter.query(BROKEN_PERIODS) == []
