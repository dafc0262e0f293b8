"""Money that clients move about at random, some of whom are cut off: none is made, none is lost. And dumps of it."""

import random
import threading
import uuid
from typing import Any

import psycopg
from django.db import connections

from pgcraft_django.plugins import Balance
from tests.ledger.conftest import Store, new_store
from tests.support.databases import administrator

CLIENTS, TRANSFERS, ACCOUNTS, BEGINNING = 8, 260, 12, 40


class Client:
    """Moves money until its transfers are done, again and again if it is cut off, with the same key."""

    def __init__(self, database: str, seed: int) -> None:
        self.database = database
        self.random = random.Random(seed)
        self.acknowledged: dict[str, tuple[str, str, int]] = {}
        self.refused = self.rolled_back = self.cut_off = 0
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
            except (psycopg.OperationalError, psycopg.errors.AdminShutdown):
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
            self.connection.execute(
                insert + "(%s, %s, %s, %s), (%s, %s, %s, %s)",
                [entry, key, source, -amount, entry, key, target, amount],
            )
            if self.random.random() < 0.1:
                self.connection.execute("DO $$ BEGIN RAISE EXCEPTION 'changed my mind'; END $$")


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
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
                    " AND query LIKE '%%private.inventory%%' ORDER BY random() LIMIT 1",
                    [store.database],
                )
                threads[0].join(cut.uniform(0.02, 0.1))
        assert [error for client in clients for error in client.failures] == []
        assert sum(client.refused for client in clients) > 0
        assert sum(client.rolled_back for client in clients) > 0
        assert sum(client.cut_off for client in clients) > 0
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
