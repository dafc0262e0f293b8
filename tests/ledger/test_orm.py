"""What the manager of a ledger reads and books."""

import datetime
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError, connections, models, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pgcraft_django.models import LedgerQuerySet
from pgcraft_django.plugins import Balance, DoubleEntry
from tests.ledger.conftest import Store, new_store
from tests.ledger.stock import KEPT
from tests.support.databases import administrator, wait_until_blocked


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
    assert [entry.pk for entry in filled.entries.latest(per="sku")] == [4, 5]
    with pytest.raises(TypeError, match="not both"):
        filled.entries.latest("id", per=["sku"])
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
    one = {"warehouse": "A", "value": 1}
    for wrong in (
        lambda: store.entries.record(),
        lambda: store.entries.record([{}], value=1),
        lambda: store.entries.record(one),
    ):
        with pytest.raises(TypeError, match="record"):
            wrong()
    with pytest.raises(ValueError, match="at least one leg"):
        store.entries.record([])
    with pytest.raises(TypeError, match="idempotency = True"):
        store.entries.record(value=1, warehouse="A", idempotency_key="k")


INEXACT = [Decimal("1.001"), 1.005, "0.001", "x", Decimal("NaN"), float("nan"), Decimal("sNaN"), float("inf"), []]


def test_nothing_is_booked_but_what_was_said(store: Store) -> None:
    for value in INEXACT:
        for book in (
            lambda value: store.entries.record(warehouse="A", value=value),
            lambda value: store.entries.transfer({"warehouse": "A"}, {"warehouse": "B"}, value=value),
            lambda value: store.entries.reconcile([{"warehouse": "A", "balance": value}]),
        ):
            with pytest.raises(ValueError, match=r"is no amount of shop\.Inventory, which has 2 decimal places"):
                book(value)
    with pytest.raises(TypeError, match="no entry_id of its own"):
        store.entries.record(warehouse="A", value=1, entry_id=uuid.uuid4())
    assert store.sums() == {}


def test_an_amount_may_be_any_number_that_is_exact(store: Store) -> None:
    for value in (1, "1.00", Decimal("1.000"), 0.1 + 0.2 + 0.7, True):
        entry = store.entries.record(warehouse="A", value=value)
        assert (entry.value, type(entry.value)) == (1, Decimal)
    assert store.entries.record(warehouse="A", value=Decimal(10) ** 17).value == Decimal(10) ** 17
    for long in (12345678901234.56, 9007199254740992.0):
        assert store.entries.record(warehouse="A", value=long).value == Decimal(str(long))


@pytest.mark.parametrize("double", [False, True])
def test_no_digit_of_a_long_number_is_lost(unblocked: None, double: bool) -> None:
    """Decimal rounds to 28 digits where it is asked to work something out."""
    value = models.DecimalField(max_digits=60, decimal_places=18)
    plugins = [*([DoubleEntry()] if double else []), Balance(["warehouse"])]
    with new_store(fields={"value": value}, plugins=plugins) as store:
        much = Decimal("123456789012345678901234567890.123456789012345678")
        store.entries.transfer({"warehouse": "A"}, {"warehouse": "B"}, value=much)
        assert store.query("SELECT balance FROM inventory_balance ORDER BY balance DESC") == [
            (much,),
            (much.copy_negate(),),
        ]
        legs = store.entries.reconcile([{"warehouse": "A", "balance": 7}, {"warehouse": "B", "balance": -7}])
        assert len(legs) == 2
        assert store.query("SELECT balance FROM inventory_balance ORDER BY balance") == [(-7,), (7,)]


def test_whole_numbers_stay_whole(unblocked: None) -> None:
    with new_store(
        fields={"value": models.BigIntegerField()}, plugins=[DoubleEntry(), Balance(["warehouse"])]
    ) as store:
        with pytest.raises(ValueError, match=r"1\.5 is no amount of shop\.Inventory, which has 0 decimal places"):
            store.entries.record([{"warehouse": "A", "direction": "debit", "value": 1.5}])
        store.entries.transfer({"warehouse": "A", "sku": "x"}, {"warehouse": "B"}, value=2)
        read = [
            store.entries.balance(sku="x"),
            *(group["balance"] for group in store.entries.balances("sku")),
            *(entry.running_balance for entry in store.entries.running_balance("warehouse")),
            *(entry.rolling_change for entry in store.entries.rolling(datetime.timedelta(days=1), "warehouse")),
            *(row["change"] for row in store.entries.rollup("day", "warehouse")),
            *(row["change"] for row in store.entries.rollup_filled("day", "warehouse")),
            *(row["balance"] for row in store.entries.rollup_filled("day", "warehouse")),
        ]
        assert read == [-2, -2, 2, *[-2, 2] * 5]
        assert {type(number) for number in read} == {int}


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
    for wrong in ([{"warehouse": "A"}], [*wanted, {"warehouse": "A", "balance": 1}], [*wanted, wanted[0]], wanted[0]):
        with pytest.raises(ValueError, match="same dimensions"):
            store.entries.reconcile(wrong)
    for part in (store.entries.filter(warehouse="A"), store.entries.as_of(timezone.now())):
        with pytest.raises(TypeError, match="the whole ledger"):
            part.reconcile(wanted)
    with pytest.raises(FieldDoesNotExist, match="'warehose'"):
        store.entries.reconcile([{"warehose": "A", "balance": 1}])


def test_groups_to_reconcile_are_not_each_compared_with_all_that_are_there(store: Store) -> None:
    wanted = [{"warehouse": f"W{of % 9}", "sku": f"S{of}" if of else None, "balance": 1} for of in range(60)]
    with CaptureQueriesContext(connections[store.site.alias]) as queries:
        store.entries.reconcile(wanted)
        assert store.entries.reconcile(wanted) == []
    reads = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    assert len(reads) == 3
    assert all(str(store.query(f"EXPLAIN {read}")).count(" = ") < 10 for read in reads)


def test_of_two_who_reconcile_at_once_the_second_finds_it_done(store: Store) -> None:
    store.add(2)
    wanted = [{"warehouse": "A", "sku": "x", "balance": 9}]

    def reconcile() -> list[Any]:
        try:
            return store.entries.reconcile(wanted)
        finally:
            connections[store.site.alias].close()

    with ThreadPoolExecutor(1) as pool, administrator(store.database) as other:
        with transaction.atomic(using=store.site.alias):
            assert [leg.value for leg in store.entries.reconcile(wanted)] == [7]
            second = pool.submit(reconcile)
            wait_until_blocked(second, store.database)
            other.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("INSERT INTO private.inventory (value, warehouse) VALUES (1, 'B')")
        assert second.result() == []
    assert store.balances() == store.sums() == {("A", "x"): 9}


def test_reconcile_knows_a_group_by_whatever_its_dimensions_are_written(unblocked: None) -> None:
    fields = {
        "day": models.DateField(null=True),
        "owner": models.ForeignKey("shop.Inventory", models.PROTECT, null=True),
        "notes": models.JSONField(null=True),
        # Not the ledger's own manager is asked.
        "everything": models.Manager(),
    }
    with new_store(fields=fields, plugins=[Balance(["day", "owner"])]) as store:
        entries = LedgerQuerySet(store.model, using=store.site.alias)
        first = entries.record(warehouse="A", value=1)
        entries.record(warehouse="A", value=7, day="2026-01-02", owner=first, notes={"a": [1]})
        for said in ({"owner": first}, {"owner_id": str(first.pk)}, {"owner": first.pk}):
            for day in ("2026-01-02", datetime.date(2026, 1, 2)):
                assert entries.reconcile([{**said, "day": day, "balance": "7"}], warehouse="A") == []
        [leg] = entries.reconcile([{"owner_id": str(first.pk), "day": "2026-01-02", "balance": 9.5}], warehouse="A")
        assert (leg.value, leg.owner, leg.day) == (Decimal("2.5"), first, datetime.date(2026, 1, 2))
        assert entries.reconcile([{"notes": {"a": [1]}, "balance": 7}], warehouse="A") == []


def test_reconcile_books_nothing_for_a_group_that_is_held_in_another_way(unblocked: None) -> None:
    weight = models.DecimalField(max_digits=5, decimal_places=1, null=True)
    with new_store(fields={"weight": weight}, plugins=[Balance(["weight"])]) as store:
        for wanted in (1, 2):
            [leg] = store.entries.reconcile([{"weight": Decimal("7.7"), "balance": wanted}], warehouse="A")
            assert leg.value == 1
            with pytest.raises(ValueError, match="as balances"):
                store.entries.reconcile([{"weight": Decimal("7.74"), "balance": 9}], warehouse="A")
        assert store.query("SELECT weight, balance FROM inventory_balance") == [(Decimal("7.7"), 2)]


def test_reconcile_without_dimensions_is_about_all_entries(store: Store) -> None:
    store.add(5), store.add(3, "B", None)
    [leg] = store.entries.reconcile([{"balance": 10}], warehouse="C")
    assert leg.value == 2
    assert store.entries.reconcile([{"balance": 10}], warehouse="C") == []


def test_an_entry_belongs_to_the_object_by_way_of_which_it_is_booked(unblocked: None) -> None:
    owner = models.ForeignKey("shop.Inventory", models.PROTECT, null=True, related_name="owned")
    with new_store(fields={"owner": owner}, plugins=[Balance(["owner"])]) as store:
        first, second = (store.entries.record(warehouse="A", value=1) for _ in range(2))
        assert first.owned.record(warehouse="A", value=5).owner == first
        assert [leg.owner for leg in first.owned.record([{"warehouse": "A", "value": value} for value in (1, 2)])] == [
            first,
            first,
        ]
        legs = first.owned.transfer({}, {"owner": second}, warehouse="A", value=3)
        assert [leg.owner for leg in legs] == [first, second]
        assert first.owned.record(warehouse="A", value=1, owner_id=second.pk).owner_id == second.pk
        assert (store.entries.balance(owner=first), store.entries.balance(owner=second)) == (5, 4)


def test_asynchronous_code_books_too(store: Store) -> None:
    async def book() -> Any:
        await store.entries.arecord(warehouse="A", sku="x", value=5)
        await store.entries.atransfer({"warehouse": "A"}, {"warehouse": "B"}, sku="x", value=2)
        await store.entries.areconcile([{"warehouse": "B", "sku": "x", "balance": 9}])
        return await store.entries.abalance(warehouse="B", sku="x")

    assert async_to_sync(book)() == 9
    assert store.balances() == {("A", "x"): 3, ("B", "x"): 9}


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
    for nothing in (filled.entries.filter(value=-999), filled.entries.none(), filled.entries.filter(pk__in=[])):
        assert nothing.rollup_filled("day", "sku") == nothing.rollup_pivoted("day", "sku") == []
    assert filled.entries.rollup_filled("year", "sku", "sku") == filled.entries.rollup_filled("year", "sku")


def test_a_filled_rollup_does_not_compare_each_group_with_all(store: Store) -> None:
    groups = 200
    store.query(
        "INSERT INTO inventory (value, warehouse, sku) SELECT 1, 'A', 'S' || i FROM generate_series(1, %s) i", groups
    )
    with CaptureQueriesContext(connections[store.site.alias]) as queries:
        assert len(store.entries.rollup_filled("month", "warehouse", "sku")) == groups
    [[plan]] = store.query(f"EXPLAIN (ANALYZE, FORMAT JSON) {queries[0]['sql']}")
    compared = re.findall(r"'Rows Removed by Join Filter': (\d+)", str(plan))
    assert sum(map(int, compared)) < 10 * groups


def test_a_day_of_the_calendar_may_have_23_hours(filled: Store) -> None:
    with timezone.override("Europe/Berlin"):
        days = filled.entries.filter(created_at__year=2020).rollup_filled("day")
        assert {day["period"].hour for day in days} == {0}
        assert len({day["period"].date() for day in days}) == len(days) == 91


CHANGES = [
    # Egypt has no midnight when summer time begins, and Lord Howe Island but half of the hour after two.
    ("Africa/Cairo", "day", ["04-22 12:00", "04-24 12:00"], ["22 00:00", "23 00:00", "24 00:00"]),
    ("Australia/Lord_Howe", "hour", ["10-03 14:45", "10-03 15:45"], ["04 01:00", "04 02:00"]),
    ("Europe/Berlin", "hour", ["03-29 00:30", "03-29 01:30"], ["29 01:00", "29 03:00"]),
    ("Europe/Berlin", "minute", ["03-29 00:59", "03-29 01:00"], ["29 01:59", "29 03:00"]),
    ("Europe/Berlin", "hour", ["10-25 00:30", "10-25 01:30"], ["25 02:00"]),
]
"""Time zone, period, times in UTC, and the beginnings of the periods that they are in or between."""


def test_nothing_is_lost_where_the_clock_is_changed(store: Store) -> None:
    store.query("SET row_security = off; SET check_function_bodies = off")  # as dumps begin
    into = "COPY inventory (entry_id, created_at, value, warehouse) FROM STDIN"
    with connections[store.site.alias].cursor() as cursor, cursor.copy(into) as copy:
        for case, (_, _, times, _) in enumerate(CHANGES):
            for number, time in enumerate(times, 1):
                copy.write_row([f"{number:032}", f"2026-{time}Z", number, str(case)])
    for case, (zone, period, _, starts) in enumerate(CHANGES):
        entries = store.entries.filter(warehouse=str(case))
        with timezone.override(zone):
            rows = entries.rollup_filled(period, "warehouse")
            assert [row["period"].strftime("%d %H:%M") for row in rows] == starts
            assert sum(row["change"] for row in rows) == rows[-1]["balance"] == entries.balance() == 3
            assert {row["period"] for row in entries.rollup(period)} <= {row["period"] for row in rows}


def test_without_use_tz_no_moment_has_a_time_zone(store: Store, settings: Any) -> None:
    settings.USE_TZ = False
    store.add(5)
    assert store.entries.as_of(timezone.now()).balance() == 5
    [month], [filled] = store.entries.rollup("month"), store.entries.rollup_filled("month")
    assert (
        month["period"] == filled["period"] == timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    )


def test_a_pivot_has_a_value_for_each_group(filled: Store) -> None:
    rows = filled.entries.filter(created_at__year=2020).rollup_pivoted("quarter", "warehouse")
    assert [(row["period"].month, row["changes"]) for row in rows] == [(1, {"A": 3, "B": 7}), (4, {"A": 1, "B": 0})]


def test_a_rolling_window_moves_along(filled: Store) -> None:
    rows = filled.entries.rolling(datetime.timedelta(days=1), "warehouse").values_list("id", "rolling_change")
    assert list(rows) == [(1, 5), (2, 3), (3, 7), (4, 1), (5, 9)]
    rows = filled.entries.rolling(datetime.timedelta(days=365), "sku").values_list("id", "rolling_change")
    assert list(rows) == [(1, 5), (2, 3), (3, 10), (4, 11), (5, 9)]
    for wrong in (5, "1 day", None, datetime.timedelta(days=-1)):
        with pytest.raises(ValueError, match="takes a timedelta"):
            filled.entries.rolling(wrong)
