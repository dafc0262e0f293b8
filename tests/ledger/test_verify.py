"""Balances are worked out again, from the beginning or from a checkpoint."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections, transaction

from pgcraft_django.factories.ledger import verifying
from pgcraft_django.management.commands import pgcraft_ledger_verify
from pgcraft_django.plugins import Balance, DoubleEntry
from tests.ledger.conftest import Store, new_store
from tests.support.databases import (
    administrator,
    as_administrator,
    run_without_triggers,
    temporary_database,
    wait_until_blocked,
)
from tests.support.manage import make_project

MODELS = """
from django.db import models
from pgcraft_django.models import PGCraftLedger
from pgcraft_django.plugins import Balance

class Inventory(PGCraftLedger):
    warehouse = models.TextField()

    class Meta:
        db_table = "inventory"

    class PGCraft:
        plugins = [Balance(dimensions=["warehouse"], minimum=0)]

class Visits(PGCraftLedger):
    pass
"""
NOWHERE = """
class Router:
    def allow_migrate(self, db, app_label, **hints):
        return app_label != "shop"
"""


def tamper(store: Store, sql: str) -> None:
    run_without_triggers(store.site.alias, sql)


def test_a_difference_is_found_and_named(store: Store) -> None:
    store.add(5), store.add(3, "B", None)
    assert store.entries.verify() == []
    tamper(store, "UPDATE inventory_balance SET balance = 6 WHERE warehouse = 'A'")
    tamper(store, "DELETE FROM inventory_balance WHERE warehouse = 'B'")
    assert list(map(str, store.entries.verify())) == [
        "balance of warehouse A, sku x is 6.00; by the entries it is 5.00.",
        "balance of warehouse B, sku NULL is 0; by the entries it is 3.00.",
    ]


def test_a_checkpoint_is_where_the_next_time_begins(store: Store) -> None:
    store.add(5), store.add(3, "B", None)
    assert store.entries.checkpoint() == []
    tamper(store, "UPDATE inventory SET value = 100 WHERE id = 1")
    store.add(2), store.add(1, "C")
    assert store.entries.verify() == []
    assert [str(item.expected) for item in store.entries.verify(full=True)] == ["102.00"]
    tamper(store, "UPDATE inventory SET value = 5 WHERE id = 1")
    for _ in range(2):
        assert store.entries.checkpoint() == []
    rows = store.query("SELECT through, warehouse, balance FROM inventory_balance_checkpoint ORDER BY id")
    assert [row[0] for row in rows] == [2, 2, 4, 4]
    assert store.entries.verify() == []
    tamper(store, "UPDATE inventory_balance SET balance = 6 WHERE warehouse = 'B'")
    assert len(store.entries.checkpoint()) == 1
    assert len(store.query("SELECT * FROM inventory_balance_checkpoint")) == 4


def test_an_entry_with_an_earlier_id_is_no_difference(store: Store) -> None:
    store.add(5), store.add(3)
    store.entries.checkpoint()
    store.query("INSERT INTO inventory (id, value, warehouse, sku) OVERRIDING SYSTEM VALUE VALUES (9, 1, 'A', 'x')")
    store.entries.checkpoint()
    store.query("INSERT INTO inventory (id, value, warehouse, sku) OVERRIDING SYSTEM VALUE VALUES (7, 1, 'A', 'x')")
    assert store.entries.verify() == store.entries.verify(full=True) == []


def test_a_checkpoint_waits_for_who_is_booking_and_not_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(5)
    with administrator(store.database) as other:
        other.execute("BEGIN; INSERT INTO private.inventory (value, warehouse) VALUES (1, 'A')")
        store.add(1, "B")
        monkeypatch.setattr(verifying, "PATIENCE", "50ms")
        with pytest.raises(OperationalError, match="lock timeout"):
            store.entries.checkpoint()
        monkeypatch.setattr(verifying, "PATIENCE", "30s")
        timer = threading.Timer(0.2, other.execute, ["COMMIT"])
        timer.start()
        assert store.entries.checkpoint() == []
        timer.join()
    assert store.query("SELECT sum(balance), max(through) FROM inventory_balance_checkpoint") == [(7, 3)]


def test_a_transaction_around_a_checkpoint_is_as_patient_as_before_and_keeps_nobody_waiting(store: Store) -> None:
    store.add(5)
    with administrator(store.database) as other, transaction.atomic(using=store.site.alias):
        store.query("SET LOCAL lock_timeout = '7s'")
        assert store.entries.checkpoint() == []
        assert store.query("SHOW lock_timeout") == [("7s",)]
        other.execute("SET lock_timeout = '50ms'; INSERT INTO private.inventory (value, warehouse) VALUES (1, 'A')")
    assert store.query("SELECT sum(balance), max(through) FROM inventory_balance_checkpoint") == [(5, 1)]


def test_of_two_checkpoints_at_once_the_second_goes_on_from_the_first(store: Store) -> None:
    store.add(5), store.add(3, "B", None)

    def checkpoint() -> list[verifying.Difference]:
        try:
            return store.entries.checkpoint()
        finally:
            connections[store.site.alias].close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(using=store.site.alias):
            assert store.entries.checkpoint() == []
            second = pool.submit(checkpoint)
            wait_until_blocked(second, store.database)
        assert second.result() == []
    rows = store.query("SELECT through, warehouse, balance FROM inventory_balance_checkpoint ORDER BY id")
    assert rows == [(2, "A", 5), (2, "B", 3)]
    assert store.entries.verify() == []


def test_entries_are_compared_too(unblocked: None) -> None:
    with new_store(plugins=[DoubleEntry(), Balance(["warehouse"])]) as store:
        store.entries.transfer({"warehouse": "A"}, {"warehouse": "B"}, value=4)
        assert store.entries.checkpoint() == []
        entry = store.entries.transfer({"warehouse": "A"}, {"warehouse": "B"}, value=4)[0].entry_id
        assert store.entries.verify() == []
        tamper(store, "UPDATE inventory SET value = 5 WHERE id = 4")
        tamper(store, "UPDATE inventory_balance SET balance = balance + 1 WHERE warehouse = 'B'")
        assert list(map(str, store.entries.verify())) == [
            f"debits minus credits of entry_id {entry} is 1.00; by the entries it is 0."
        ]


def test_who_may_not_verify_or_leave_a_checkpoint_is_told_what_to_do(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a standby, or as a role that has only been let to look at something."""
    monkeypatch.setattr(pgcraft_ledger_verify, "_ledgers", lambda labels: [store.model])
    with as_administrator(store.site.alias) as alias, connections[alias].cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        with pytest.raises(CommandError, match="this one is read-only"):
            call_command("pgcraft_ledger_verify", checkpoint=True, database=alias)
        call_command("pgcraft_ledger_verify", database=alias)
        assert "the balances are what the entries add up to" in capsys.readouterr().out
        cursor.execute("RESET default_transaction_read_only; SET ROLE pg_read_all_data")
        denied = "shop.Inventory is not verified: permission denied for table inventory. Run it as the owner"
        with pytest.raises(CommandError, match=re.escape(denied)):
            call_command("pgcraft_ledger_verify", checkpoint=True, database=alias)


def test_the_command_says_what_is_wrong_and_with_its_status(tmp_path: Path, unblocked: None) -> None:
    with temporary_database() as alias:
        project = make_project(tmp_path, connections[alias].settings_dict["NAME"])
        project.models(MODELS)
        project.manage("makemigrations", "shop")
        said = project.manage("pgcraft_ledger_verify", status=1)
        assert 'CommandError: shop.Inventory is not migrated in this database: relation "inventory' in said
        assert said.rstrip().endswith("does not exist. Run: manage.py migrate")
        (project.folder / "routers.py").write_text(NOWHERE)
        project.settings(DATABASE_ROUTERS=["routers.Router"])
        assert "shop.Inventory is not in this database." in project.manage("pgcraft_ledger_verify")
        project.manage("pgcraft_ledger_verify", "shop.inventory", status=1)
        project.settings(DATABASE_ROUTERS=[])
        project.manage("migrate")
        with administrator(project.database) as connection:
            connection.execute("INSERT INTO private.inventory (value, warehouse) VALUES (5, 'A')")
            right = "shop.Inventory: the balances are what the entries add up to."
            said = project.manage("pgcraft_ledger_verify", "--checkpoint")
            assert right in said
            assert "shop.Visits has no Balance and no DoubleEntry: nothing to verify." in said
            connection.execute(
                "SET session_replication_role = replica; UPDATE private.inventory_balance SET balance = 4"
            )
        found = project.manage("pgcraft_ledger_verify", "shop.inventory", status=1)
        assert "shop.Inventory: balance of warehouse A is 4; by the entries it is 5." in found
        assert "CommandError: 1 difference found." in found
        assert "There is no ledger shop.x. The ledgers are: shop.Inventory, shop.Visits." in project.manage(
            "pgcraft_ledger_verify", "shop.x", status=1
        )
