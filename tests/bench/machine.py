"""State machines: what PGCraftStateMachine costs beside triggers by hand, in SQL."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import psycopg

from pgcraft_django.embedded import Server
from tests.bench.items import BULK
from tests.bench.measuring import alternate, compare, statements
from tests.bench.project import connect, migrated
from tests.bench.report import Figure

LEAST_OF_HAND = 0.9

MODELS = """\
from django.db import models

from pgcraft_django.models import PGCraftStateMachine


class Order(PGCraftStateMachine):
    class State(models.TextChoices):
        PENDING = "pending"
        CONFIRMED = "confirmed"
        SHIPPED = "shipped"
        CANCELLED = "cancelled"

    title = models.TextField()
    state = models.TextField(choices=State.choices, default=State.PENDING)

    class Meta:
        db_table = "orders"

    class PGCraft:
        api = None
        transitions = {
            "pending": ["confirmed", "cancelled"],
            "confirmed": ["shipped", "cancelled"],
            "cancelled": ["pending"],
        }
"""

OURS, HAND = "private.orders", "hand_private.orders"
LAP = ("confirmed", "cancelled", "pending")
"""The states that rows go through again and again."""
BATCH = 99
"""Statements in one measurement: some laps."""

ONE = "UPDATE {table} SET state = %(state)s WHERE id = %(key)s"
ALL = "UPDATE {table} SET state = %(state)s"
INSERT = f"INSERT INTO {{table}} (title, state) SELECT 'Order ' || n, 'pending' FROM generate_series(1, {BULK}) AS n"


def measure(server: Server, runs: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Yield the figures of one row, and of many in one statement."""
    by_hand = Path(__file__).with_suffix(".sql").read_text()
    with (
        migrated(server, "bench_machine", MODELS, by_hand=by_hand),
        connect(server, "bench_machine") as database,
    ):
        names = {"transition": ONE, f"transitions of {BULK:,} rows": ALL, f"insert of {BULK:,} rows": INSERT}
        for name, sql in names.items():
            say(f"state machines: {name}")
            for table in (OURS, HAND):
                _fill(database, table)
            works = [_work(database, table, sql) for table in (OURS, HAND)]
            for work in works:
                work()  # once for caches and prepared statements
            yield compare(
                alternate(runs, *works),
                part="State machines",
                name=f"{name}, in SQL",
                at_least=LEAST_OF_HAND,
                medians_unit="statements/s",
                against="triggers by hand",
            )


def _work(database: "psycopg.Connection[Any]", table: str, sql: str) -> Callable[[], float]:
    states = cycle(LAP)

    def many() -> float:
        if sql == INSERT:
            _fill(database, table)
        database.execute(f"VACUUM {table}")
        return statements(database, sql.format(table=table), [{"state": next(states)}])

    keys = [{"state": state, "key": key} for key in range(1, BATCH // len(LAP) + 1) for state in LAP]
    return partial(statements, database, sql.format(table=table), keys) if sql == ONE else many


def _fill(database: "psycopg.Connection[Any]", table: str) -> None:
    database.execute("SET session_replication_role = replica")  # the guards let nobody empty a log
    database.execute(f"TRUNCATE {table}, {table}_transition RESTART IDENTITY")
    database.execute("RESET session_replication_role")
    database.execute(INSERT.format(table=table))
    database.execute(f"VACUUM (ANALYZE) {table}, {table}_transition")
