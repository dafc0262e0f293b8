"""What the manager of a ledger reads and books."""

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connections, models
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pgcraft_django.plugins import Balance
from tests.ledger.conftest import Store, new_store
from tests.ledger.stock import KEPT


@pytest.fixture(scope="module")
def shared(django_db_blocker: Any) -> Iterator[Store]:
    """Entries of three years: A and B have some of x, A of NULL."""
    with django_db_blocker.unblock(), new_store(plugins=[KEPT, Balance(["warehouse"], name="total")]) as store:
        store.query("SET row_security = off; SET check_function_bodies = off")  # as dumps begin
        with connections[store.site.alias].cursor() as cursor, cursor.copy("COPY inventory FROM STDIN") as copy:
            for key, (day, value, warehouse, sku) in enumerate(
                (
                    ("2020-01-31 23:30Z", 5, "A", "x"),
                    ("2020-02-01 00:30Z", -2, "A", "x"),
                    ("2020-02-03 00:00Z", 7, "B", "x"),
                    ("2020-05-01 00:00Z", 1, "A", "x"),
                    ("2022-01-01 00:00Z", 9, "A", "\\N"),
                ),
                1,
            ):
                copy.write(f"{key}\t{key:032}\t{day}\t{value}\t{warehouse}\t{sku}\n")
        store.query("RESET ALL")
        connections[store.site.alias].close()
        yield store


@pytest.fixture
def filled(shared: Store, unblocked: None) -> Iterator[Store]:
    with timezone.override(datetime.UTC):
        yield shared


def day(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def test_a_balance_is_read_from_its_row_or_summed_up(filled: Store) -> None:
    with CaptureQueriesContext(connections[filled.site.alias]) as queries:
        assert filled.entries.balance(warehouse="A", sku="x") == 4
        assert filled.entries.balance(warehouse="A", sku=None) == 9
        assert filled.entries.balance(warehouse="A") == 13
        assert filled.entries.balance(warehouse="Z") == 0
    assert all("SUM" not in query["sql"] for query in queries.captured_queries)
    assert filled.entries.balance(sku="x") == 11
    assert filled.entries.balance() == 20
    assert filled.entries.filter(value__gt=0).balance(warehouse="A", sku="x") == 6
    assert filled.entries.none().balance(warehouse="A", sku="x") == 0
    assert isinstance(filled.entries.balance(warehouse="Z"), Decimal)


def test_balances_of_groups(filled: Store) -> None:
    groups = [
        {"warehouse": "A", "sku": "x", "balance": 4},
        {"warehouse": "A", "sku": None, "balance": 9},
        {"warehouse": "B", "sku": "x", "balance": 7},
    ]
    assert list(filled.entries.balances()) == groups
    assert list(filled.entries.balances("warehouse")) == [
        {"warehouse": "A", "balance": 13},
        {"warehouse": "B", "balance": 7},
    ]
    assert list(filled.entries.balances("sku")) == [{"sku": "x", "balance": 11}, {"sku": None, "balance": 9}]
    assert list(filled.entries.filter(value__lt=0).balances()) == [{"warehouse": "A", "sku": "x", "balance": -2}]
    assert filled.entries.balances().filter(warehouse="B").get() == groups[2]


def test_balances_as_they_were(filled: Store) -> None:
    then = filled.entries.as_of(day("2020-02-01"))
    assert (then.balance(warehouse="A", sku="x"), then.count()) == (5, 1)
    assert filled.entries.as_of(day("2020-02-03")).balance() == 10
    for when in (datetime.datetime(2020, 1, 1), datetime.date(2020, 1, 1), "2020-01-01"):
        with pytest.raises(ValueError, match="with a time zone"):
            filled.entries.as_of(when)


def test_a_running_balance_is_that_after_each_entry(filled: Store) -> None:
    rows = filled.entries.running_balance().values_list("id", "running_balance")
    assert list(rows) == [(1, 5), (2, 3), (3, 7), (4, 4), (5, 9)]
    rows = filled.entries.filter(warehouse="A").running_balance("warehouse").values_list("id", "running_balance")
    assert list(rows) == [(1, 5), (2, 3), (4, 4), (5, 13)]


def test_the_latest_entry_of_each_group_or_of_all(filled: Store) -> None:
    assert [entry.pk for entry in filled.entries.latest()] == [4, 5, 3]
    assert [entry.pk for entry in filled.entries.latest(per=["sku"])] == [4, 5]
    assert filled.entries.latest("created_at").pk == 5
    assert filled.entries.latest("-id").pk == 1
    with pytest.raises(filled.model.DoesNotExist):
        filled.entries.none().latest("id")


def test_without_a_balance_all_entries_are_one_group(unblocked: None) -> None:
    with new_store(plugins=[]) as store:
        assert list(store.entries.balances()) == [{"balance": None}]
        for value, warehouse in ((5, "A"), (-2, "B"), (4, "A")):
            store.entries.record(warehouse=warehouse, value=value)
        assert list(store.entries.balances()) == [{"balance": 7}]
        assert list(store.entries.filter(warehouse="A").balances()) == [{"balance": 9}]
        assert list(store.entries.balances("warehouse")) == [
            {"warehouse": "A", "balance": 9},
            {"warehouse": "B", "balance": -2},
        ]
        assert [entry.running_balance for entry in store.entries.running_balance()] == [5, 3, 7]
        week = datetime.timedelta(days=7)
        assert [entry.rolling_change for entry in store.entries.rolling(week)] == [5, 3, 7]
        assert [entry.value for entry in store.entries.latest()] == [4]


def test_record_books_one_entry_or_several_legs(store: Store) -> None:
    entry = store.entries.record(warehouse="A", sku="x", value=5)
    assert (entry.pk, entry.balance if hasattr(entry, "balance") else None) == (1, None)
    assert abs(entry.created_at - timezone.now()) < datetime.timedelta(minutes=1)
    legs = store.entries.record([{"warehouse": "A", "value": 1}, {"warehouse": "B", "value": 2}])
    assert len({leg.entry_id for leg in legs}) == 1
    assert store.balances() == store.sums()
    for wrong in (lambda: store.entries.record(), lambda: store.entries.record([{}], value=1)):
        with pytest.raises(TypeError, match="record"):
            wrong()
    with pytest.raises(ValueError, match="at least one leg"):
        store.entries.record([])
    with pytest.raises(TypeError, match="idempotency = True"):
        store.entries.record(value=1, warehouse="A", idempotency_key="k")


def test_a_transfer_is_all_or_nothing(store: Store) -> None:
    store.entries.record(warehouse="A", sku="x", value=5)
    legs = store.entries.transfer({"warehouse": "A"}, {"warehouse": "B"}, sku="x", value=2)
    assert [(leg.warehouse, leg.value, leg.entry_id) for leg in legs] == [
        ("A", -2, legs[0].entry_id),
        ("B", 2, legs[0].entry_id),
    ]
    with pytest.raises(IntegrityError, match="cannot fall below 0"):
        store.entries.transfer({"warehouse": "A"}, {"warehouse": "B"}, sku="x", value=4)
    for value in (0, -1):
        with pytest.raises(ValueError, match="above 0"):
            store.entries.transfer({"warehouse": "A"}, {"warehouse": "B"}, sku="x", value=value)
    assert store.balances() == store.sums() == {("A", "x"): 3, ("B", "x"): 2}


def test_reconcile_books_the_difference_and_nothing_where_there_is_none(store: Store) -> None:
    store.add(5), store.add(3, "B", None)
    wanted = [
        {"warehouse": "A", "sku": "x", "balance": 2},
        {"warehouse": "B", "sku": None, "balance": 3},
        {"warehouse": "C", "sku": "y", "balance": Decimal("1.5")},
    ]
    legs = store.entries.reconcile(wanted)
    assert [(leg.warehouse, leg.value) for leg in legs] == [("A", -3), ("C", Decimal("1.5"))]
    assert store.entries.reconcile(wanted) == []
    assert store.balances() == store.sums() == {("A", "x"): 2, ("B", None): 3, ("C", "y"): Decimal("1.5")}
    assert store.entries.reconcile([]) == []
    for wrong in ([{"warehouse": "A"}], [*wanted, {"warehouse": "A", "balance": 1}], [*wanted, wanted[0]]):
        with pytest.raises(ValueError, match="same dimensions"):
            store.entries.reconcile(wrong)


def test_foreign_keys_are_named_either_way(unblocked: None) -> None:
    fields = {"owner": models.ForeignKey("shop.Inventory", models.PROTECT, null=True)}
    with new_store(fields=fields, plugins=[Balance(["owner"])]) as store:
        first = store.entries.record(warehouse="A", value=1)
        store.entries.record(warehouse="A", value=2, owner=first)
        assert store.entries.balance(owner=first) == store.entries.balance(owner_id=first.pk) == 2
        assert store.entries.balance(owner=None) == 1
        assert len(store.entries.reconcile([{"owner": first, "balance": 5}], warehouse="B")) == 1
        assert list(store.entries.balances("owner_id")) == [{"owner": 1, "balance": 5}, {"owner": None, "balance": 1}]


def starts(rows: Any) -> list[Any]:
    return [(row["period"].date().isoformat(), row["warehouse"], row["change"], row["entries"]) for row in rows]


def test_a_rollup_is_by_period_and_group_in_the_current_time_zone(filled: Store) -> None:
    in_utc = [
        ("2020-01-01", "A", 5, 1),
        ("2020-02-01", "A", -2, 1),
        ("2020-02-01", "B", 7, 1),
        ("2020-05-01", "A", 1, 1),
        ("2022-01-01", "A", 9, 1),
    ]
    assert starts(filled.entries.rollup("month", "warehouse")) == in_utc
    with timezone.override("Europe/Berlin"):
        assert starts(filled.entries.rollup("month", "warehouse"))[0] == ("2020-02-01", "A", 3, 2)
    years = filled.entries.filter(warehouse="A").rollup("year")
    assert [(row["period"].year, row["change"]) for row in years] == [(2020, 4), (2022, 9)]
    for period in ("minute", "hour", "day", "week", "quarter"):
        assert sum(row["change"] for row in filled.entries.rollup(period)) == 20
    with pytest.raises(ValueError, match="'fortnight' is no period; the periods are minute, hour"):
        filled.entries.rollup("fortnight")


def test_a_filled_rollup_has_no_gaps_and_the_balance_until_then(filled: Store) -> None:
    rows = filled.entries.filter(created_at__year=2020).rollup_filled("month", "warehouse")
    assert [(row["period"].month, row["warehouse"], row["change"], row["balance"]) for row in rows] == [
        (1, "A", 5, 5),
        (1, "B", 0, 0),
        (2, "A", -2, 3),
        (2, "B", 7, 7),
        (3, "A", 0, 3),
        (3, "B", 0, 7),
        (4, "A", 0, 3),
        (4, "B", 0, 7),
        (5, "A", 1, 4),
        (5, "B", 0, 7),
    ]
    assert len(filled.entries.rollup_filled("year")) == 3
    assert len(filled.entries.rollup_filled("quarter", "warehouse", "sku")) == 9 * 3
    assert filled.entries.filter(value=-999).rollup_filled("day", "sku") == []


def test_a_day_of_the_calendar_may_have_23_hours(filled: Store) -> None:
    with timezone.override("Europe/Berlin"):
        days = filled.entries.filter(created_at__year=2020).rollup_filled("day")
        assert {day["period"].hour for day in days} == {0}
        assert len({day["period"].date() for day in days}) == len(days) == 91


def test_a_pivot_has_a_value_for_each_group(filled: Store) -> None:
    rows = filled.entries.filter(created_at__year=2020).rollup_pivoted("quarter", "warehouse")
    assert [(row["period"].month, row["changes"]) for row in rows] == [(1, {"A": 3, "B": 7}), (4, {"A": 1, "B": 0})]


def test_a_rolling_window_moves_along(filled: Store) -> None:
    rows = filled.entries.rolling(datetime.timedelta(days=1), "warehouse").values_list("id", "rolling_change")
    assert list(rows) == [(1, 5), (2, 3), (3, 7), (4, 1), (5, 9)]
    rows = filled.entries.rolling(datetime.timedelta(days=365), "sku").values_list("id", "rolling_change")
    assert list(rows) == [(1, 5), (2, 3), (3, 10), (4, 11), (5, 9)]
