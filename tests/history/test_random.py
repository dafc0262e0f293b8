"""Histories beside a model in Python, step by step at random."""

import datetime
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.db import transaction

from tests.history.conftest import Place, define

RUNS = int(os.environ.get("PGCRAFT_HISTORY_RUNS", "500"))
STEPS = 20
KEYS = 3
NAMES = "abc"


class Run:
    """Some rows, what they should be, and what was done to them."""

    def __init__(self, place: Place, number: int) -> None:
        self.place = place
        self.random = random.Random(number)
        self.keys = [number * KEYS + position + 1 for position in range(KEYS)]
        self.state: dict[int, str] = {}
        self.changes: Counter[int] = Counter()
        """Key -> versions that were ended."""
        self.remembered: list[tuple[datetime.datetime, dict[int, str]]] = []

    @property
    def rows(self) -> Any:
        return self.place.rows()

    def pick(self) -> tuple[int, str]:
        return self.random.choice(self.keys), self.random.choice(NAMES)

    def become(self, key: int, name: str | None) -> None:
        """Note that a row is now called `name`, or is gone."""
        before = self.state.pop(key, None)
        if before is not None and before != name:
            self.changes[key] += 1
        if name is not None:
            self.state[key] = name

    def step(self) -> None:
        steps: list[Callable[[], None]] = [
            *(self.insert, self.save, self.update, self.update_nothing, self.update_all, self.bulk_update),
            *(self.upsert, self.delete, self.update_twice, self.roll_back, self.restore),
        ]
        self.random.choice(steps)()
        [[now]] = self.place.query("SELECT clock_timestamp()")
        self.remembered.append((now, dict(self.state)))

    def insert(self) -> None:
        key, name = self.pick()
        if key not in self.state:
            self.rows.create(id=key, name=name)
            self.become(key, name)

    def save(self) -> None:
        key, name = self.pick()
        if row := self.rows.filter(id=key).first():
            row.name = name
            row.save()
            self.become(key, name)

    def update(self) -> None:
        key, name = self.pick()
        if self.place.query("UPDATE students SET name = %s WHERE id = %s RETURNING id", [name, key]):
            self.become(key, name)

    def update_nothing(self) -> None:
        self.place.query("UPDATE students SET name = name WHERE id = ANY (%s)", [self.keys])

    def update_all(self) -> None:
        _, name = self.pick()
        self.rows.filter(id__in=self.keys).update(name=name)
        for key in list(self.state):
            self.become(key, name)

    def bulk_update(self) -> None:
        model = self.place.model("Student")
        names = {key: self.random.choice(NAMES) for key in self.keys}
        self.rows.bulk_update([model(id=key, name=name) for key, name in names.items()], ["name"])
        for key in list(self.state):
            self.become(key, names[key])

    def upsert(self) -> None:
        model = self.place.model("Student")
        names = {key: self.random.choice(NAMES) for key in self.keys}
        rows = [model(id=key, name=name) for key, name in names.items()]
        self.rows.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=["name"])
        for key, name in names.items():
            self.become(key, name)

    def delete(self) -> None:
        key, _ = self.pick()
        if self.rows.filter(id=key).delete()[0]:
            self.become(key, None)

    def update_twice(self) -> None:
        with transaction.atomic(using=self.place.site.alias):
            self.update()
            self.update_all()

    def roll_back(self) -> None:
        key, name = self.pick()
        with transaction.atomic(using=self.place.site.alias):
            self.rows.filter(id=key).update(name=name + "?")
            self.rows.filter(id__in=self.keys).delete()
            transaction.set_rollback(True, using=self.place.site.alias)

    def restore(self) -> None:
        history = list(self.place.model("Student").history.using(self.place.site.alias).filter(id__in=self.keys))
        if history:
            version = self.random.choice(history)
            version.restore()
            self.become(version.id, version.name)

    def check(self) -> None:
        for when, state in self.remembered:
            assert dict(self.rows.as_of(when).filter(id__in=self.keys).values_list("id", "name")) == state
        counted = self.place.query(
            "SELECT id, count(*) FROM students_history WHERE id = ANY (%s) GROUP BY id", [self.keys]
        )
        assert dict(counted) == {key: number for key, number in self.changes.items() if number}


BROKEN_PERIODS = """
    WITH version AS (
        SELECT id, version, valid_from, valid_to FROM students_history
        UNION ALL
        SELECT id, version, valid_from, 'infinity' FROM students
    )
    SELECT *
    FROM (
        SELECT
            *,
            lag(valid_to) OVER one AS ended,
            lag(version) OVER one AS before
        FROM version
        WINDOW one AS (PARTITION BY id ORDER BY version)
    ) AS periods
    WHERE valid_from >= valid_to OR valid_from < ended OR version <> coalesce(before, 0) + 1
"""


def test_histories_are_those_of_a_model_in_python(place: Place) -> None:
    place.evolve(lambda apps: define(apps, school=None, marks=None, data=None, size=None))
    for number in range(RUNS):
        run = Run(place, number)
        for _ in range(STEPS):
            run.step()
        run.check()
    assert place.query(BROKEN_PERIODS) == []
