"""Money that clients move at random, some of whom are cut off or hang up: none is made or lost. And dumps of it."""

import random
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connections

from pgcraft_django.plugins import Balance, DoubleEntry
from tests.ledger.conftest import Store, new_store
from tests.ledger.stock import KEPT
from tests.support.databases import administrator
from tests.support.dumps import assert_survives_dump, hashes, run_tool
from tests.support.world import new_site

CLIENTS, TRANSFERS, ACCOUNTS, BEGINNING = 8, 255, 20, 30


class Client:
    """Moves money until its transfers are done, again and again if it is cut off, with the same key."""

    def __init__(self, database: str, seed: int) -> None:
        self.database = database
        self.random = random.Random(seed)
        self.acknowledged: dict[str, tuple[str, str, int]] = {}
        self.refused = self.rolled_back = self.cut_off = self.hung_up = self.repeated = 0
        self.connection = administrator(database)
        self.failures: list[BaseException] = []

    def run(self) -> None:
        try:
            for _ in range(TRANSFERS):
                self.transfer()
        except BaseException as error:
            self.failures.append(error)
        finally:
            self.connection.close()

    def transfer(self) -> None:
        source, target = self.random.sample([f"account {number}" for number in range(ACCOUNTS)], 2)
        amount, key = self.random.randint(1, 30), str(uuid.UUID(int=self.random.getrandbits(128)))
        while True:
            try:
                self.book(source, target, amount, key)
            except psycopg.errors.CheckViolation:
                self.refused += 1
            except psycopg.errors.RaiseException:
                self.rolled_back += 1
            except psycopg.errors.DeadlockDetected:
                raise  # groups are taken in order
            except psycopg.OperationalError:
                self.cut_off += 1
                self.connection.close()
                self.connection = administrator(self.database)
                continue  # nobody knows whether it was booked
            else:
                self.acknowledged[key] = (source, target, amount)
            return

    def book(self, source: str, target: str, amount: int, key: str) -> None:
        insert = "INSERT INTO private.inventory (entry_id, idempotency_key, warehouse, value) VALUES "
        entry = uuid.uuid4()
        with self.connection.transaction():
            if self.random.random() < 0.1:
                self.connection.execute("SELECT pg_sleep(0.002)")
            booked = self.connection.execute(
                insert + "(%s, %s, %s, %s), (%s, %s, %s, %s)",
                [entry, key, source, -amount, entry, key, target, amount],
            ).rowcount
            self.repeated += booked == 0
            if booked and self.random.random() < 0.1:
                self.connection.execute("DO $$ BEGIN RAISE EXCEPTION 'changed my mind'; END $$")
            if self.random.random() < 0.05:
                self.hang_up()

    def hang_up(self) -> None:
        """Send COMMIT, and be gone before the answer comes."""
        self.connection.pgconn.send_query(b"COMMIT")
        self.connection.close()
        self.hung_up += 1
        raise psycopg.OperationalError


def test_money_is_neither_made_nor_lost(unblocked: None) -> None:
    plugins = [Balance(dimensions=["warehouse"], minimum=0)]
    with new_store(plugins=plugins, idempotency=True, fields={"sku": None}) as store:
        store.entries.record([{"warehouse": f"account {number}", "value": BEGINNING} for number in range(ACCOUNTS)])
        clients = [Client(store.database, seed) for seed in range(CLIENTS)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        cut = random.Random(0)
        with administrator() as killer:
            while any(thread.is_alive() for thread in threads):
                killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE datname = %s"
                    " AND query ~ 'private.inventory|^COMMIT$' ORDER BY random() LIMIT 1) AS victim",
                    [store.database],
                )
                time.sleep(cut.uniform(0.03, 0.09))
        assert [error for client in clients for error in client.failures] == []
        assert sum(client.refused for client in clients) > 0
        assert sum(client.rolled_back for client in clients) > 0
        assert sum(client.cut_off for client in clients) > sum(client.hung_up for client in clients) > 0
        assert sum(client.repeated for client in clients) > 0
        check(store, clients)


def check(store: Store, clients: list[Client]) -> None:
    connections[store.site.alias].close()
    entries: dict[str, list[tuple[Any, ...]]] = {}
    for key, *leg in store.query("SELECT idempotency_key, warehouse, value FROM inventory"):
        entries.setdefault(key, []).append(tuple(leg))
    entries.pop(None, None)  # type: ignore[call-overload]
    acknowledged = {key: made for client in clients for key, made in client.acknowledged.items()}
    missing = [
        key
        for key, (source, target, amount) in acknowledged.items()
        if sorted(entries.get(key, ())) != sorted([(source, -amount), (target, amount)])
    ]
    assert missing == []
    assert len(acknowledged) + sum(client.refused + client.rolled_back for client in clients) == CLIENTS * TRANSFERS
    money = store.query("SELECT sum(balance), min(balance) >= 0 FROM inventory_balance")
    assert money == [(ACCOUNTS * BEGINNING, True)]
    booked = store.query("SELECT count(DISTINCT idempotency_key), count(idempotency_key) FROM inventory")
    assert booked == [(len(acknowledged), 2 * len(acknowledged))]
    assert store.entries.verify(full=True) == []


TABLES = ["inventory", "inventory_balance", "inventory_key", "inventory_balance_checkpoint"]


@pytest.mark.parametrize("plugins", [[KEPT], [DoubleEntry(), Balance(["warehouse", "sku"], -100)]])
def test_dumps_bring_back_entries_balances_and_keys(unblocked: None, plugins: list[Any], tmp_path: Path) -> None:
    with new_store(plugins=plugins, idempotency=True) as store:
        store.entries.transfer({"warehouse": "A"}, {"warehouse": "B"}, value=1) if len(plugins) > 1 else store.add(5)
        legs = [{"warehouse": "A", "value": 1}, {"warehouse": "B\t\\", "sku": None, "value": 1}]
        if len(plugins) > 1:
            legs = [{**leg, "direction": way} for leg, way in zip(legs, ("debit", "credit"), strict=True)]
        store.entries.record(legs, idempotency_key="k")
        assert store.entries.checkpoint() == []
        store.entries.record(legs, idempotency_key="l")
        store.query("SELECT pg_sleep(0.01)")
        assert_survives_dump(store.site, TABLES)
        before = hashes(store.site, TABLES)
        for order, options in ((TABLES, ()), (TABLES[::-1], ()), (TABLES, ("--inserts",))):
            with new_site() as empty:
                empty.migrate(store.site.applied)
                for table in order:
                    script = tmp_path / "script.sql"
                    only = f"--table=private.{table}"
                    run_tool("pg_dump", store.site, "--data-only", only, *options, f"--file={script}")
                    run_tool("psql", empty, "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={script}")
                assert hashes(empty, TABLES) == before


@pytest.mark.parametrize("options", [(), ("--inserts",)])
def test_a_dump_whose_first_row_takes_away_comes_back_below_no_minimum(
    unblocked: None, options: tuple[str, ...], tmp_path: Path
) -> None:
    with new_store() as store:
        legs = [{"warehouse": "A", "value": value} for value in (-5, 8, -3, 4)]
        store.entries.record(legs)
        before, script = hashes(store.site, TABLES[:2]), tmp_path / "script.sql"
        for kind in ((), ("--data-only",)):
            run_tool("pg_dump", store.site, *kind, *options, f"--file={script}")
            with new_site() as empty:
                if kind:
                    empty.migrate(store.site.applied)
                run_tool("psql", empty, "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={script}")
                assert hashes(empty, TABLES[:2]) == before
                table = "private.inventory"
                for value in (-5, -4):
                    if value == -5:
                        with pytest.raises(IntegrityError, match="cannot fall below 0"):
                            empty.query(f"INSERT INTO {table} (value, warehouse) VALUES ({value}, 'A')")
                    else:
                        empty.query(f"INSERT INTO {table} (value, warehouse) VALUES ({value}, 'A')")
