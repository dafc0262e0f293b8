"""Histories: what PGCraftAppendOnly costs beside a plain table and beside a history by hand.

Reads and updates go through PostgREST, and through SQL, where nothing hides what a trigger costs.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from pgcraft_django.embedded import Server
from tests.bench.items import BULK, COLUMNS, PAGE, ROWS, fill_items, item_model, item_table
from tests.bench.measuring import alternate, compare, statements
from tests.bench.project import connect, migrated
from tests.bench.report import Figure
from tests.bench.served import BATCH, batch, compare_requests, serving

LEAST_READ = 0.97
LEAST_UPDATE = 0.95
LEAST_BULK = 0.9

PART = "Histories"

TABLES = {"api": "private.items", "hand": "hand_private.items", "plain": "plain_private.items"}
"""Exposed schema -> table behind its resource."""
HISTORIES = ("private.items_history", "hand_private.items_history")

PLAIN = {"against": "plain table", "at_least": LEAST_READ}
HAND = {"against": "history by hand", "at_least": LEAST_UPDATE}
BULKS = {"against": "history by hand", "at_least": LEAST_BULK}

REQUESTS: dict[str, tuple[str, str, Mapping[str, Any]]] = {
    "read by key": ("read by key", "plain", PLAIN),
    f"page of {PAGE}": ("page", "plain", PLAIN),
    "update": ("update", "hand", HAND),
    "insert": ("insert", "hand", HAND),
}
"""Figure -> kind of request, the other schema, and what it is judged by."""

READ = ", ".join(sorted(COLUMNS.split(", ")))
"""What the statements read. Exactly the columns of the plain table, in their order, PostgreSQL would hand through as
they are, without a projection: a shortcut that ends for every table with any further column, whoever fills it."""

STATEMENTS: dict[str, tuple[str, str, Mapping[str, Any]]] = {
    "read by key": (f"SELECT {READ} FROM {{table}} WHERE id = %(key)s", "plain", PLAIN),
    f"page of {PAGE}": (
        f"SELECT {READ} FROM {{table}} WHERE id > %(key)s ORDER BY id LIMIT {PAGE}",
        "plain",
        PLAIN,
    ),
    "update": ("UPDATE {table} SET name = 'New ' || %(key)s, number = number + 1 WHERE id = %(key)s", "hand", HAND),
    f"bulk update of {BULK:,} rows": (f"UPDATE {{table}} SET number = number + 1 WHERE id <= {BULK}", "hand", BULKS),
    f"bulk insert of {BULK:,} rows": (
        f"INSERT INTO {{table}} (name, number) SELECT 'Name ' || i, i FROM generate_series(1, {BULK}) AS i",
        "hand",
        BULKS,
    ),
}
"""Figure -> statement, the other schema, and what it is judged by."""


def measure(server: Server, runs: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Yield the figures of requests and of SQL."""
    by_hand = item_table("hand") + Path(__file__).with_suffix(".sql").read_text() + item_table("plain")
    models = item_model("PGCraftAppendOnly", exclude=["version", "valid_from"])  # the same answers on both sides
    postgrest = {"db-schemas": list(TABLES), "log-level": "crit"}
    with (
        migrated(server, "bench_history", models, by_hand=by_hand, POSTGREST=postgrest) as project,
        connect(server, "bench_history") as database,
    ):
        with serving(project) as client:
            for name, (kind, other, about) in REQUESTS.items():
                say(f"histories: {name}, through PostgREST")
                _refill(database)
                name = f"{name}, through PostgREST"
                yield compare_requests(client, batch(kind), "api", other, runs, part=PART, name=name, **about)
        for name, (sql, other, about) in STATEMENTS.items():
            say(f"histories: {name}, in SQL")
            _refill(database)
            works = [partial(_work, database, sql.format(table=TABLES[schema])) for schema in ("api", other)]
            for work in works:
                work()  # once for caches and prepared statements
            pairs = alternate(runs, *works)
            yield compare(pairs, part=PART, name=f"{name}, in SQL", medians_unit="statements/s", **about)


def _work(database: "psycopg.Connection[Any]", sql: str) -> float:
    if "%(key)s" not in sql:
        _clean(database)
        return statements(database, sql, [{}])
    return statements(database, sql, [{"key": random.randint(1, ROWS)} for _ in range(BATCH)])


def _refill(database: "psycopg.Connection[Any]") -> None:
    database.execute("SET session_replication_role = replica")  # as if nobody had a history yet
    for table in TABLES.values():
        database.execute(f"TRUNCATE {table} RESTART IDENTITY")
        fill_items(database, table)
    database.execute("RESET session_replication_role")
    _clean(database)


def _clean(database: "psycopg.Connection[Any]") -> None:
    """Take away what the last measurement has left: dead rows, new rows and former versions."""
    database.execute("SET session_replication_role = replica")
    database.execute(f"TRUNCATE {', '.join(HISTORIES)}")
    for table in TABLES.values():
        database.execute(f"DELETE FROM {table} WHERE id > {ROWS}")
        database.execute(f"VACUUM {table}")
    database.execute("RESET session_replication_role")
