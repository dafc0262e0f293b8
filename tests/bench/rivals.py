"""The same work in the ORM with PGCraftAppendOnly, django-simple-history and django-pghistory.

The models of all three are in one project, and are measured by one process of it, this module's `main()`. They have the
same columns and get the same calls, but for those that django-simple-history has functions of its own for.

What they promise is not the same. django-pghistory writes what a row has become, in a trigger for each row, as raw SQL
does too; django-simple-history writes it from Python, so nothing of raw SQL or `update()`. Ours writes what a row has
been, with a number, a period that overlaps with no other, and who and why; nobody can change it. So django-pghistory is
measured a second time with who and why, in its context and in ours.
"""

import importlib.util
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from django.db.models import F

from pgcraft_django.embedded import Server
from tests.bench.measuring import Pair, alternate, compare, rate
from tests.bench.project import migrated
from tests.bench.report import Figure, Note

PART = "Histories in the ORM"

BATCH = 50
"""Rows that are saved or created in one measurement."""
BULK = 1000
"""Rows that are updated or created at once."""

RIVALS = {
    "django-simple-history": ("simple_history", "SimpleItem"),
    "django-pghistory": ("pghistory", "HistoryItem"),
}
"""Package -> its app, and the model that it keeps the history of."""

APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "pgtrigger",
    *(app for app, _ in RIVALS.values()),
]

MODELS = """\
import pghistory
from django.db import models
from django.db.models.functions import Now
from pgcraft_django.models import PGCraftAppendOnly
from simple_history.models import HistoricalRecords


class Columns(models.Model):
    reference = models.UUIDField(unique=True, null=True)
    name = models.TextField()
    city = models.TextField(default="")
    amount = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    number = models.IntegerField(default=0)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True


class Item(Columns, PGCraftAppendOnly):
    class PGCraft:
        api = None


class SimpleItem(Columns):
    history = HistoricalRecords()


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class HistoryItem(Columns):
    pass
"""


def measure(server: Server, runs: int, say: Callable[[str], None]) -> Iterator[Figure | Note]:
    """Yield a ratio of rates for each kind of work and rival."""
    if missing := [app for app, _ in RIVALS.values() if importlib.util.find_spec(app) is None]:
        yield Note(PART, f"skipped: {', '.join(missing)} is not installed (make .venv/.bench does it)")
        return
    with migrated(server, "bench_rivals", MODELS, apps=APPS) as project:
        say("histories: the ORM, beside django-simple-history and django-pghistory")
        root = str(Path(__file__).resolve().parent.parent.parent)
        answer = subprocess.run(
            [sys.executable, "-m", "tests.bench.rivals", str(runs)],
            cwd=project.folder,
            env={**project.environment, "PYTHONPATH": f"{root}{os.pathsep}.", "DJANGO_SETTINGS_MODULE": "settings"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    for name, rival, pairs in json.loads(answer.stdout):
        yield compare(pairs, part=PART, name=name, at_least=1, medians_unit="times/s", against=rival)


# -- In the project ----------------------------------------------------------------------------------------------

Works = Mapping[str, Callable[[], float]]
"""Figure -> measures it once for one model."""


def _bulk(model: Any) -> tuple[Callable[[list[Any]], object], Callable[[list[Any]], object]]:
    """Return how many rows are created and updated at once, with a history."""
    from simple_history.utils import bulk_create_with_history, bulk_update_with_history

    if hasattr(model, "history") and hasattr(model.history, "bulk_history_create"):
        return (
            lambda items: bulk_create_with_history(items, model),
            lambda items: bulk_update_with_history(items, model, ["number"]),
        )
    return model.objects.bulk_create, lambda items: model.objects.bulk_update(items, ["number"])


def _works(model: Any) -> Works:
    rows = model.objects
    bulk_create, bulk_update = _bulk(model)

    def made(numbers: range) -> list[Any]:
        return [model(name=f"Name {number}", number=number) for number in numbers]

    def some(number: int) -> Any:
        return rows.filter(pk__in=random.sample(keys, number))

    def save(item: Any) -> None:
        item.number += 1
        item.save()

    def update(items: list[Any]) -> None:
        for item in items:
            item.number += 1
        bulk_update(items)

    def delete() -> float:
        items = made(range(BULK))
        bulk_create(items)
        return rate([rows.filter(pk__in=[item.pk for item in items]).delete])

    bulk_create(made(range(2 * BULK)))
    keys = list(rows.values_list("pk", flat=True))
    works: dict[str, Callable[[], float]] = {
        "create": lambda: rate([partial(rows.create, name="Name", number=number) for number in range(BATCH)]),
        "save": lambda: rate([partial(save, item) for item in some(BATCH)]),
        f"bulk_update of {BULK:,}": lambda: rate([partial(update, list(some(BULK)))]),
        f"bulk_create of {BULK:,}": lambda: rate([partial(bulk_create, made(range(BULK)))]),
        f"delete of {BULK:,}": delete,
    }
    if bulk_create == rows.bulk_create:  # django-simple-history has no history of what update() does
        works[f"update() of {BULK:,}"] = lambda: rate([partial(some(BULK).update, number=F("number") + 1)])
    return works


def _inside(context: Callable[[], AbstractContextManager[Any]], works: Works) -> Works:
    """Return the works, each in a context that says who and why."""

    def measured(work: Callable[[], float]) -> float:
        with context():
            return work()

    return {f"{name}, with who and why": partial(measured, work) for name, work in works.items()}


def _measure_models(runs: int) -> list[tuple[str, str, list[Pair]]]:
    """Return figure, rival and pairs of rates."""
    import pghistory
    from shop import models

    from pgcraft_django import history_context

    ours, of_rivals = _works(models.Item), {rival: _works(getattr(models, name)) for rival, (_, name) in RIVALS.items()}
    attributed = _inside(partial(history_context, actor="somebody", reason="The benchmark"), ours)
    pghistory_attributed = _inside(
        partial(pghistory.context, user="somebody", reason="The benchmark"), of_rivals["django-pghistory"]
    )
    found = []
    for rival, mine, theirs in (
        *((rival, ours, works) for rival, works in of_rivals.items()),
        ("django-pghistory", attributed, pghistory_attributed),
    ):
        for work in theirs:
            mine[work](), theirs[work]()  # once for caches
            found.append((work, rival, alternate(runs, mine[work], theirs[work])))
    return found


def main() -> None:
    """Measure as often as the command line says; print the pairs."""
    import django

    django.setup()
    json.dump(_measure_models(int(sys.argv[1])), sys.stdout)


if __name__ == "__main__":
    main()
