"""The peer, pgcraft for SQLAlchemy: its history, its attributes and its ledger beside ours.

It needs Python 3.12, which is looked for, and gets a virtual environment of its own in `.bench/peer`. Both sides are in
one database and do the same work with the same rows, through the same connection and the same PostgREST.

It promises less: its former versions keep no link to their row, two at once can take a balance below its minimum, and
nobody learns who has changed what. Ours has to be as fast all the same.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import psycopg

from pgcraft_django.embedded import Server
from tests.bench import eav, ledger
from tests.bench.items import COLUMNS, PAGE, ROWS, item_model
from tests.bench.items import FILL as ITEMS_OF
from tests.bench.measuring import alternate, compare, statements
from tests.bench.peer_environment import VERSION, install, migrate
from tests.bench.project import connect, migrated
from tests.bench.report import Figure, Note
from tests.bench.served import Request, batch, compare_requests, serving

PART = "The peer"
AGAINST: Mapping[str, Any] = {"part": PART, "against": f"pgcraft {VERSION}", "at_least": 1}

DATABASE = "bench_peer"
MODELS = "\n".join([item_model("PGCraftAppendOnly", exclude=["version", "valid_from"]), eav.MODELS, ledger.MODELS])

SCHEMAS = ("api", "peer")
"""What PostgREST exposes, ours first; the tables are in these:"""
TABLES = ("private", "peer_private")

BALANCES = ("private.inventory_balance", "peer_private.inventory_snapshot")

ENTITIES = 5_000
"""Few, because its view of attributes reads those of all entities."""
BULK = 10_000
"""Rows that are written at once; its triggers look through all entries for each."""
BATCH = 10
"""Statements in one measurement, through SQL."""
MOST_SLOW_RUNS = 3
"""How often the statements that take it seconds are measured, at most."""

REQUESTS = {"read by key": "read by key", f"page of {PAGE}": "page", "update": "update", "insert": "insert"}

ITEMS = {
    "read by key": f"SELECT {COLUMNS} FROM {{schema}}.items WHERE id = %(key)s",
    f"page of {PAGE}": f"SELECT {COLUMNS} FROM {{schema}}.items WHERE id > %(key)s ORDER BY id LIMIT {PAGE}",
    "update": "UPDATE {schema}.items SET name = 'New ' || %(key)s, number = number + 1 WHERE id = %(key)s",
    "insert": "INSERT INTO {schema}.items (name, city, number, is_active) VALUES ('Name', '', %(key)s, true)",
    "bulk update of {rows:,} rows": "UPDATE {schema}.items SET number = number + 1 WHERE id <= {rows}",
    "bulk insert of {rows:,} rows": "INSERT INTO {schema}.items (name, city, number, is_active)"
    " SELECT 'Name ' || i, '', i, true FROM generate_series(1, {rows}) AS i",
}

PRODUCTS = {
    "read by key": eav.READ,
    f"filtered page of {PAGE}": eav.READ_PAGE,
    "full aggregate": eav.AGGREGATE,
    "update of an attribute": eav.UPDATE,
    "insert": "INSERT INTO {table} (text_0, number_0, amount_0, flag_0) VALUES ('Text', %(key)s, 0.25, true)",
}

NOT_OFFERED = {
    "upsert": "INSERT INTO peer_private.items (id, name, city, number, is_active) VALUES (1, 'Name', '', 1, true)"
    " ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    "NULL for an attribute that has a value": "DO $$ BEGIN UPDATE peer_private.products SET text_0 = NULL WHERE id = 1;"
    " IF (SELECT text_0 FROM peer_private.products WHERE id = 1) IS NOT NULL"
    " THEN RAISE EXCEPTION 'the former value is still there'; END IF; END $$",
}
"""What ours does and the peer does not -> a statement that tries."""

PEER_ITEMS = ("peer_private.items_attributes", "peer_private.items_root")
ITEM_ROWS = (
    ITEMS_OF.format(table="private.items", rows=ROWS),
    "INSERT INTO peer_private.items_attributes (reference, name, city, amount, number, is_active)"
    " SELECT reference, name, city, amount, number, is_active FROM private.items ORDER BY id",
    "INSERT INTO peer_private.items_root (items_attributes_id)"
    " SELECT id FROM peer_private.items_attributes ORDER BY id",
)

PEER_ENTRIES = ("peer_private.inventory_raw", "peer_private.inventory_snapshot")
ENTRY_ROWS = (
    ledger.FILL.format(table="private.inventory", rows=ledger.GROUPS),
    "INSERT INTO private.inventory_balance SELECT min(id), warehouse, sku, sum(value) FROM private.inventory"
    " GROUP BY warehouse, sku",
    ledger.FILL.format(table="peer_private.inventory_raw", rows=ledger.GROUPS),
    "INSERT INTO peer_private.inventory_snapshot SELECT warehouse, sku, sum(value) FROM peer_private.inventory_raw"
    " GROUP BY warehouse, sku",
)

PEER_PRODUCTS = ("peer_private.products_entity", "peer_private.products_attribute")
PRODUCT_ROWS = (
    "INSERT INTO peer_private.products_entity (created_at) SELECT now() FROM private.products",
    *(
        f"INSERT INTO peer_private.products_attribute (entity_id, attribute_name, {column}_value)"
        f" SELECT id, '{name}', {name} FROM private.products"
        for name, kind in eav.ATTRIBUTES.items()
        for column in [eav.KINDS[kind][2].partition("(")[0]]
    ),
)
"""What fills its tables after ours."""


def measure(server: Server, runs: int, quick: bool, say: Callable[[str], None]) -> Iterator[Figure | Note]:
    """Yield the figures, or the reason why there are none."""
    python = install(say)
    if python is None:
        yield Note(PART, f"skipped: pgcraft {VERSION} needs Python 3.12 or newer with its venv module and PyPI")
        return
    with (
        migrated(server, DATABASE, MODELS, POSTGREST={"db-schemas": list(SCHEMAS), "log-level": "crit"}) as project,
        connect(server, DATABASE) as database,
    ):
        say("the peer: its migration")
        migrate(server, python, DATABASE)
        database.execute("GRANT USAGE ON SCHEMA peer TO anon")
        database.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA peer TO anon")
        comparison = _Comparison(
            database, runs, ENTITIES // 10 if quick else ENTITIES, BULK // 10 if quick else BULK, say
        )
        with serving(project) as client:
            for name, kind in REQUESTS.items():
                yield comparison.requests(client, f"history: {name}", batch(kind), comparison.fill_items)
            entries = [ledger.request(random.randrange(ledger.GROUPS)) for _ in range(ledger.BATCH)]
            yield comparison.requests(client, "ledger: insert", entries, comparison.fill_entries)
        yield from comparison.history()
        yield from comparison.attributes()
        yield from comparison.ledger()
        for name, sql in NOT_OFFERED.items():
            try:
                database.execute(sql)
            except psycopg.Error as error:
                yield Note(PART, f"{name}: not offered by pgcraft {VERSION}: {error.diag.message_primary}")


class _Comparison:
    """Both sides in one database."""

    def __init__(
        self, database: "psycopg.Connection[Any]", runs: int, entities: int, bulk: int, say: Callable[[str], None]
    ) -> None:
        self.database = database
        self.runs = runs
        self.entities = entities
        self.bulk = bulk
        self.say = say

    def requests(self, client: Any, name: str, requests: list[Request], fill: Callable[[], None]) -> Figure:
        """Return the figure of requests through PostgREST."""
        name = f"{name}, through PostgREST"
        self.say(f"the peer: {name}")
        fill()
        return compare_requests(client, requests, *SCHEMAS, self.runs, name=name, **AGAINST)

    def history(self) -> Iterator[Figure]:
        for name, sql in ITEMS.items():
            is_bulk = "{rows" in sql
            name, sql = name.format(rows=self.bulk), sql.replace("{rows}", str(self.bulk))
            self.fill_items()
            works = [self._work(sql.format(schema=schema), ROWS, 1 if is_bulk else BATCH) for schema in TABLES]
            yield self._compare(f"history: {name}, in SQL", works)

    def attributes(self) -> Iterator[Figure]:
        self._fill_products()
        for name, sql in PRODUCTS.items():
            times = 1 if sql == eav.AGGREGATE else BATCH
            works = [self._work(sql.format(table=f"{schema}.products"), self.entities, times) for schema in TABLES]
            yield self._compare(f"attributes of {self.entities:,} entities: {name}, in SQL", works, is_slow=True)

    def ledger(self) -> Iterator[Figure]:
        self.fill_entries()
        tables = [f"{schema}.inventory" for schema in TABLES]
        yield self._compare("ledger: insert, in SQL", [self._entries(ledger.INSERT, table) for table in tables])
        yield self._compare(
            "ledger: read of a balance, in SQL", [self._entries(ledger.READ, kept) for kept in BALANCES]
        )
        self.fill_entries()
        works = [self._work(ledger.INSERT_MANY.format(table=table, rows=self.bulk), 1, 1) for table in tables]
        yield self._compare(f"ledger: insert of {self.bulk:,} rows, in SQL", works, is_slow=True)

    def _compare(self, name: str, works: list[Callable[[], float]], is_slow: bool = False) -> Figure:
        self.say(f"the peer: {name}")
        for work in works:
            work()  # once for caches and prepared statements
        pairs = alternate(min(self.runs, MOST_SLOW_RUNS) if is_slow else self.runs, *works)
        return compare(pairs, name=name, medians_unit="statements/s", **AGAINST)

    def _work(self, sql: str, keys: int, times: int) -> Callable[[], float]:
        def work() -> float:
            return statements(self.database, sql, [{"key": random.randint(1, keys)} for _ in range(times)])

        return work

    def _entries(self, sql: str, table: str) -> Callable[[], float]:
        def work() -> float:
            entries = [ledger.entry(random.randrange(ledger.GROUPS)) for _ in range(BATCH)]
            return statements(self.database, sql.format(table=table, balances=table), entries)

        return work

    # -- The same rows on both sides -----------------------------------------------------------------------------

    def fill_items(self) -> None:
        self._fill(["private.items", "private.items_history", *PEER_ITEMS], ITEM_ROWS)

    def fill_entries(self) -> None:
        self._fill(["private.inventory", "private.inventory_balance", *PEER_ENTRIES], ENTRY_ROWS)

    def _fill_products(self) -> None:
        eav.fill(self.database, "private.products", self.entities)
        self._fill(PEER_PRODUCTS, PRODUCT_ROWS)

    def _fill(self, tables: Sequence[str], rows: Sequence[str]) -> None:
        """Empty the tables and fill them as if nobody had changed anything: without triggers."""
        self.database.execute("SET session_replication_role = replica")
        self.database.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY")
        for sql in rows:
            self.database.execute(sql)
        self.database.execute("RESET session_replication_role")
        for table in tables:
            self.database.execute(f"VACUUM (ANALYZE) {table}")
