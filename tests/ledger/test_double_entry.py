"""Debits and credits of each entry are equal, in one statement or in several of one transaction."""

import contextlib
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connections, transaction
from psycopg.errors import CheckViolation

from pgcraft_django.plugins import Balance, DoubleEntry
from tests.ledger.conftest import Store, new_store
from tests.ledger.stock import declare

PLUGINS = [Balance(dimensions=["warehouse"], minimum=-10), DoubleEntry()]
ONE, OTHER = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
DIFFER = r"Debits and credits of the entry .* in inventory differ: "


@pytest.fixture
def store(unblocked: None) -> Iterator[Store]:
    with new_store(plugins=PLUGINS, idempotency=True) as found:
        yield found


def book(store: Store, *legs: tuple[str, int, str, str]) -> None:
    rows = ", ".join(f"('{entry}', {value}, '{direction}', '{place}')" for entry, value, direction, place in legs)
    store.query(f"INSERT INTO inventory (entry_id, value, direction, warehouse) VALUES {rows}")


def balances(store: Store) -> dict[str, Any]:
    return dict(store.query("SELECT warehouse, balance FROM inventory_balance ORDER BY 1"))


def test_what_comes_in_one_statement_is_equal(store: Store) -> None:
    book(store, (ONE, 5, "debit", "A"), (ONE, 2, "credit", "B"), (ONE, 3, "credit", "C"))
    assert balances(store) == {"A": 5, "B": -2, "C": -3}
    for legs in (
        [(OTHER, 5, "debit", "A")],
        [(OTHER, 5, "debit", "A"), (OTHER, 4, "credit", "B")],
        [(OTHER, 5, "debit", "A"), (ONE, 5, "credit", "B")],
        [(ONE, 1, "credit", "A")],
    ):
        with pytest.raises(IntegrityError, match=DIFFER):
            book(store, *legs)
    assert balances(store) == {"A": 5, "B": -2, "C": -3}


def test_what_comes_in_several_statements_is_equal_at_the_end(store: Store) -> None:
    with transaction.atomic(using=store.site.alias):
        book(store, (ONE, 5, "debit", "A"))
        with transaction.atomic(using=store.site.alias):
            book(store, (ONE, 2, "credit", "B"))
        book(store, (ONE, 3, "credit", "B"), (OTHER, 1, "debit", "A"), (OTHER, 1, "credit", "B"))
    assert balances(store) == {"A": 6, "B": -6}
    assert store.query("SELECT * FROM inventory_unbalanced") == []

    @transaction.atomic(using=store.site.alias)
    def wrong() -> None:
        book(store, (OTHER, 5, "debit", "A"))
        book(store, (OTHER, 4, "credit", "A"))

    with pytest.raises(IntegrityError, match=f"{DIFFER}6.00 and 5.00"):
        wrong()
    assert store.query("SELECT count(*) FROM inventory") == [(5,)]


def test_entries_that_come_in_several_statements_are_not_each_looked_for_among_all(store: Store) -> None:
    book(store, (ONE, 5, "debit", "A"), (ONE, 5, "credit", "B"))
    store.query("VACUUM (ANALYZE) inventory, inventory_unbalanced")
    entries = [str(uuid.UUID(int=number)) for number in range(2, 202)]
    with transaction.atomic(using=store.site.alias):
        for direction in ("debit", "credit"):
            book(store, *((entry, 1, direction, "A") for entry in entries))
        store.query("SET CONSTRAINTS ALL IMMEDIATE")
        [[read]] = store.query("SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname LIKE 'inventory%'")
        assert store.query("SELECT * FROM inventory_unbalanced") == []
    assert read < len(entries)


def test_an_entry_of_many_statements_is_added_up_once(store: Store) -> None:
    with transaction.atomic(using=store.site.alias):
        for number in range(100):
            book(store, (ONE, 1, ("debit", "credit")[number % 2], "A"))
        assert store.query("SELECT * FROM inventory_unbalanced") == [(uuid.UUID(ONE),)]
        store.query("SET CONSTRAINTS ALL IMMEDIATE")
        [[read]] = store.query("SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'inventory'")
    assert read == 100


def test_an_entry_is_judged_whatever_was_rolled_back(store: Store) -> None:
    def roll_back(leg: tuple[str, int, str, str], then: str) -> None:
        with transaction.atomic(using=store.site.alias):
            book(store, leg)
            store.query(then)
            transaction.set_rollback(True, using=store.site.alias)

    @transaction.atomic(using=store.site.alias)
    def only_debit(then: str) -> None:
        with contextlib.suppress(IntegrityError):
            roll_back((ONE, 5, "debit", "A"), then)
        book(store, (ONE, 5, "debit", "A"))
        roll_back((ONE, 5, "credit", "B"), then)

    for then in ("SELECT", "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED"):
        with pytest.raises(IntegrityError, match=f"{DIFFER}5.00 and 0"):
            only_debit(then)
    assert store.query("SELECT * FROM inventory") == []


@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM inventory_unbalanced",
        "TRUNCATE inventory_unbalanced",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SET CONSTRAINTS ALL DEFERRED",
        "SET LOCAL pgcraft.unbalanced = 'off'",
    ],
)
def test_nothing_that_a_session_does_lets_an_unequal_entry_pass(store: Store, attack: str) -> None:
    @transaction.atomic(using=store.site.alias)
    def attacked() -> None:
        book(store, (ONE, 5, "debit", "A"))
        store.query(attack)

    with pytest.raises(DatabaseError):
        attacked()
    assert store.query("SELECT * FROM inventory") == []


def test_what_is_noted_of_another_entry_lets_no_unequal_one_pass(store: Store) -> None:
    @transaction.atomic(using=store.site.alias)
    def attacked() -> None:
        book(store, (ONE, 5, "debit", "A"))
        store.query(f"UPDATE inventory_unbalanced SET entry_id = '{OTHER}'")
        book(store, (ONE, 5, "credit", "A"))
        book(store, (OTHER, 5, "debit", "A"))

    with pytest.raises(DatabaseError, match=DIFFER):
        attacked()


def test_copy_is_judged_as_well(store: Store) -> None:
    lines = [f"{n}\t{ONE}\t2000-01-01Z\t5\tA\tx\t\\N\t{way}\n" for n, way in ((1, "debit"), (2, "credit"))]

    def copy(text: str) -> None:
        with connections[store.site.alias].cursor() as cursor, cursor.copy("COPY inventory FROM STDIN") as target:
            target.write(text)

    with pytest.raises(CheckViolation, match="Debits and credits"):
        copy(lines[0])
    copy("".join(lines))
    assert store.query("SELECT count(*) FROM inventory") == [(2,)]


def test_a_leg_is_above_zero_and_has_a_known_direction(store: Store) -> None:
    for leg in ((ONE, 0, "debit", "A"), (ONE, -1, "debit", "A"), (ONE, 1, "", "A"), (ONE, 1, "Debit", "A")):
        with pytest.raises(IntegrityError, match="violates check constraint"):
            book(store, leg)


def test_a_minimum_is_of_debits_minus_credits(store: Store) -> None:
    with pytest.raises(IntegrityError, match=r"warehouse B in inventory would be -10\.01; it cannot fall below -10"):
        store.entries.transfer({"warehouse": "B"}, {"warehouse": "A"}, value=Decimal("10.01"))
    store.entries.transfer({"warehouse": "B"}, {"warehouse": "A"}, value=10)
    assert balances(store) == {"A": 10, "B": -10}


def test_the_orm_counts_credits_as_less(store: Store) -> None:
    credit, debit = store.entries.transfer({"warehouse": "B"}, {"warehouse": "A"}, value=4, idempotency_key="k")
    assert (credit.direction, debit.direction) == ("credit", "debit")
    assert store.entries.transfer({"warehouse": "B"}, {"warehouse": "A"}, value=4, idempotency_key="k") == [
        credit,
        debit,
    ]
    assert store.entries.balance(warehouse="B") == -4
    assert store.entries.filter(value__gt=1).balance(warehouse="B") == -4
    assert store.entries.balance() == 0
    rows = store.entries.running_balance("warehouse").values_list("warehouse", "running_balance")
    assert list(rows) == [("B", -4), ("A", 4)]
    store.entries.reconcile([{"warehouse": "A", "balance": 1}, {"warehouse": "B", "balance": -1}])
    assert balances(store) == {"A": 1, "B": -1}
    with pytest.raises(IntegrityError, match=DIFFER):
        store.entries.reconcile([{"warehouse": "A", "balance": 5}])


def test_double_entry_can_be_added_and_taken_back(unblocked: None) -> None:
    with new_store(plugins=PLUGINS[:1]) as store:
        catalog = store.site.catalog()
        made = store.evolve(lambda apps: declare(apps, plugins=PLUGINS))
        with pytest.raises(IntegrityError, match=DIFFER):
            book(store, (ONE, 5, "debit", "A"))
        for _ in made:
            store.site.unmigrate()
        assert store.site.catalog() == catalog
