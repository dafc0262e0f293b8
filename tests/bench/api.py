"""Requests through PostgREST: the schema that migrations make, and the one that an expert writes by hand.

One PostgREST process serves both, on one connection to one database; a header says which is meant.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg

from pgcraft_django.embedded import Server
from tests.bench.items import BULK, PAGE, fill_items, item_model, item_table
from tests.bench.project import connect, migrated
from tests.bench.report import Figure
from tests.bench.served import batch, bulk_insert, compare_requests, serving

LEAST_RATIO = 0.95

TABLES = {"api": "private.items", "hand": "hand_private.items"}
"""Exposed schema -> table behind its resource, ours first."""

KINDS = {"read by key": "read by key", f"page of {PAGE}": "page", "insert": "insert", "update": "update"}


def measure(server: Server, runs: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Yield one ratio of requests per second for each kind of request."""
    postgrest = {"db-schemas": list(TABLES), "log-level": "crit"}
    models, by_hand = item_model("PGCraftSimple"), item_table("hand")
    with (
        migrated(server, "bench_api", models, by_hand=by_hand, POSTGREST=postgrest) as project,
        connect(server, "bench_api") as database,
        serving(project) as client,
    ):
        about = {"part": "API", "at_least": LEAST_RATIO, "against": "hand-written schema"}
        for name, kind in KINDS.items():
            say(f"requests: {name}")
            _empty(database)
            for table in TABLES.values():
                fill_items(database, table)
            yield compare_requests(client, batch(kind), *TABLES, runs, name=name, **about)
        say("requests: bulk insert")
        name, empty = f"bulk insert of {BULK:,} rows", partial(_empty, database)
        yield compare_requests(client, [bulk_insert()], *TABLES, runs, prepare=empty, name=name, **about)


def _empty(database: "psycopg.Connection[Any]") -> None:
    for table in TABLES.values():
        database.execute(f"TRUNCATE {table} RESTART IDENTITY")
