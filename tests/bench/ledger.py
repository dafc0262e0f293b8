"""Ledgers: what PGCraftLedger with a minimum balance costs beside a plain table and a ledger by hand, as it grows.

Entries are added through PostgREST, and in SQL, where nothing hides what a trigger costs: there a single entry is
judged by the ledger by hand. A ledger with millions of entries is compared with one that has next to none.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from pgcraft_django.embedded import Server
from tests.bench.items import BULK
from tests.bench.measuring import alternate, compare, statements
from tests.bench.project import connect, migrated
from tests.bench.report import Figure
from tests.bench.served import Request, compare_requests, render, serving

LEAST_INSERT = 0.65
LEAST_BULK = 0.6
LEAST_OF_HAND = 0.9
LEAST_OF_SMALL = 0.9
"""How flat it stays: the rate with many entries, beside that with few."""

PART = "Ledgers"

MODELS = """\
from django.db import models

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftLedger
from pgcraft_django.plugins import Balance


class Entry(PGCraftLedger):
    warehouse = models.TextField()
    sku = models.TextField()

    class Meta:
        abstract = True

    class PGCraft:
        api = None
        plugins = [Balance(dimensions=["warehouse", "sku"], minimum=0)]


class Inventory(Entry):
    class Meta:
        db_table = "inventory"

    class PGCraft(Entry.PGCraft):
        api = API(grants={"anon": ["insert"]})


class Archive(Entry):
    class Meta:
        db_table = "archive"
"""

SMALL, LARGE = "private.inventory", "private.archive"
HAND, PLAIN = "hand_private.inventory", "plain_private.inventory"

GROUPS = 1000
ENTRIES = 5_000_000
BATCH = 100
"""Statements or requests in one measurement."""

INSERT = "INSERT INTO {table} (value, warehouse, sku) VALUES (%(value)s, %(warehouse)s, %(sku)s)"
INSERT_MANY = f"""\
INSERT INTO {{table}} (value, warehouse, sku)
SELECT mod(n, 7) - 1, 'Warehouse ' || mod(n, 10), 'Article ' || mod(n, {GROUPS}) FROM generate_series(1, {{rows}}) AS n
"""
BULK_INSERT = INSERT_MANY.format(table="{table}", rows=BULK)
READ = "SELECT balance FROM {balances} WHERE warehouse = %(warehouse)s AND sku = %(sku)s"

FILL = f"""\
INSERT INTO {{table}} (value, warehouse, sku)
SELECT 1000, 'Warehouse ' || mod(n, 10), 'Article ' || mod(n, {GROUPS}) FROM generate_series(1, {{rows}}) AS n
"""


def measure(server: Server, runs: int, entries: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Yield the figures of a ledger beside others, and of one with so many entries beside one with few."""
    by_hand = Path(__file__).with_suffix(".sql").read_text()
    postgrest = {"db-schemas": ["api", "plain"], "log-level": "crit"}
    with (
        migrated(server, "bench_ledger", MODELS, by_hand=by_hand, POSTGREST=postgrest) as project,
        connect(server, "bench_ledger") as database,
    ):
        single, bulk = "insert, in SQL", f"insert of {BULK:,} rows, in SQL"
        plain, hand = {"theirs": PLAIN, "against": "plain table"}, {"theirs": HAND, "against": "ledger by hand"}
        say("ledgers: insert, through PostgREST")
        for table in (SMALL, PLAIN):
            _fill(database, table, GROUPS)
        with serving(project) as client:
            yield compare_requests(
                client,
                [request(random.randrange(GROUPS)) for _ in range(BATCH)],
                "api",
                "plain",
                runs,
                part=PART,
                name="insert, through PostgREST",
                against="plain table",
                at_least=LEAST_INSERT,
            )
        figure = partial(_figure, database, runs, say)
        yield figure(single, INSERT, **plain)
        yield figure(bulk, BULK_INSERT, **plain, at_least=LEAST_BULK)
        yield figure(single, INSERT, **hand, at_least=LEAST_OF_HAND)
        yield figure(bulk, BULK_INSERT, **hand, at_least=LEAST_OF_HAND)

        say(f"ledgers: filling one with {entries:,} entries")
        _fill(database, LARGE, entries)
        few = {"ours": LARGE, "theirs": SMALL, "against": f"with {GROUPS:,} entries", "at_least": LEAST_OF_SMALL}
        for name, sql in {single: INSERT, bulk: BULK_INSERT, "read of a balance, in SQL": READ}.items():
            yield figure(f"{name}, with {entries:,} entries", sql, **few)


def _figure(
    database: "psycopg.Connection[Any]",
    runs: int,
    say: Callable[[str], None],
    name: str,
    sql: str,
    *,
    theirs: str,
    ours: str = SMALL,
    **about: Any,
) -> Figure:
    def work(table: str) -> float:
        if table != LARGE and sql == BULK_INSERT:
            _fill(database, table, GROUPS)
        if table != PLAIN:
            database.execute(f"VACUUM {table}_balance")
        keys = [random.randrange(GROUPS) for _ in range(1 if sql == BULK_INSERT else BATCH)]
        return statements(database, sql.format(table=table, balances=f"{table}_balance"), [entry(key) for key in keys])

    say(f"ledgers: {name}, against {about['against']}")
    for table in {ours, theirs} - {LARGE}:
        _fill(database, table, GROUPS)
    for table in (ours, theirs):
        work(table)  # once for caches and prepared statements
    pairs = alternate(runs, partial(work, ours), partial(work, theirs))
    return compare(pairs, part=PART, name=name, medians_unit="statements/s", **about)


def entry(key: int) -> Mapping[str, Any]:
    """Return what an entry of a group consists of."""
    return {"value": key % 7 - 1, "warehouse": f"Warehouse {key % 10}", "sku": f"Article {key}"}


def request(key: int) -> Request:
    """Return the request that adds an entry to a group."""
    return lambda schema: render("POST", "/inventory", schema, entry(key))


def _fill(database: "psycopg.Connection[Any]", table: str, entries: int) -> None:
    """Put so many entries of `GROUPS` groups into the emptied table, and their balances beside it."""
    database.execute("SET session_replication_role = replica")  # all at once, not by triggers
    database.execute(f"TRUNCATE {table} RESTART IDENTITY")
    database.execute(FILL.format(table=table, rows=entries))
    database.execute(f"VACUUM (ANALYZE) {table}")
    if table != PLAIN:
        key = "" if table == HAND else "min(id), "
        database.execute(f"TRUNCATE {table}_balance")
        database.execute(
            f"INSERT INTO {table}_balance SELECT {key}warehouse, sku, sum(value) FROM {table} GROUP BY warehouse, sku"
        )
        database.execute(f"VACUUM (ANALYZE) {table}_balance")
    database.execute("RESET session_replication_role")
