"""What PostgreSQL enforces of a ledger, whoever writes and however."""

import contextlib
import datetime
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connections, models, transaction

from pgcraft_django.api import API
from pgcraft_django.plugins import Balance
from tests.ledger.conftest import Store, new_store
from tests.ledger.stock import KEPT
from tests.support.app_user import app_user
from tests.support.databases import administrator

EVERYTHING = API(grants={"webuser": "all"})


def test_entries_are_never_changed(store: Store) -> None:
    store.add(5)
    for statement in ("UPDATE inventory SET value = 6", "DELETE FROM inventory", "TRUNCATE inventory"):
        with pytest.raises(IntegrityError, match="never changed or removed"):
            store.query(statement)
    assert store.sums() == {("A", "x"): 5}


def test_the_time_is_that_of_the_statement_whatever_it_says(store: Store) -> None:
    insert = "INSERT INTO inventory (value, warehouse, created_at) VALUES (1, 'A', %s), (1, 'A', DEFAULT)"
    for when in ("2000-01-01", "2999-01-01", "infinity", None):
        store.query(insert, when)
    store.model(value=1, warehouse="A", created_at=datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)).save(
        using=store.site.alias
    )
    assert store.query(
        "SELECT count(*) FROM inventory WHERE created_at BETWEEN now() - interval '1 min' AND now()"
    ) == [(9,)]


def test_the_entries_of_a_statement_have_one_time_and_each_statement_its_own(store: Store) -> None:
    slowly = "SELECT 1 + length(pg_sleep(0.005)::text), %s"
    with transaction.atomic(using=store.site.alias):
        for warehouse, column, given in (("A", "", ""), ("B", ", created_at", ", now()"), ("C", "", "")):
            insert = f"INSERT INTO inventory (value, warehouse{column}) {slowly}{given} FROM generate_series(1, 2)"
            store.query(insert, warehouse)
    times = store.query("SELECT DISTINCT created_at, warehouse FROM inventory ORDER BY created_at")
    assert [warehouse for _, warehouse in times] == ["A", "B", "C"]


@pytest.mark.parametrize("role", ["", "webuser"])
def test_only_a_dump_that_its_owner_restores_brings_times(unblocked: None, role: str) -> None:
    with new_store(api=EVERYTHING) as store:
        store.query("GRANT USAGE ON SCHEMA private TO webuser; GRANT INSERT ON private.inventory TO webuser")
        copy_old = "COPY inventory (value, warehouse, sku, created_at) FROM STDIN"
        for settings in ("", "SET row_security = off; SET check_function_bodies = off"):
            with connections[store.site.alias].cursor() as cursor:
                cursor.execute(f"SET ROLE {role}; {settings}" if role else settings or "SELECT 1")
                with cursor.copy(copy_old) as copy:
                    copy.write("5\tA\tx\t2000-01-01 00:00Z\n")
                cursor.execute("RESET ROLE")
        store.query("RESET ALL")
        years = store.query("SELECT extract(year FROM created_at)::int FROM private.inventory ORDER BY id")
        assert [year == 2000 for (year,) in years] == [False, not role]
        assert store.query("SELECT balance FROM private.inventory_balance") == [(10,)]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_amount_is_refused(store: Store, value: str) -> None:
    with pytest.raises(DatabaseError):
        store.add(value)
    with pytest.raises(DatabaseError):
        store.query("INSERT INTO inventory (value, warehouse) VALUES (%s::float8, 'A')", value)


def test_a_balance_is_the_sum_of_the_entries_of_its_group_and_null_is_a_group(store: Store) -> None:
    for value, warehouse, sku in ((5, "A", "x"), (-2, "A", "x"), (7, "A", None), (-3, "A", None), (1, "B", "x")):
        store.add(value, warehouse, sku)
    assert store.balances() == store.sums() == {("A", "x"): 3, ("A", None): 4, ("B", "x"): 1}
    assert store.query("SELECT id FROM inventory_balance ORDER BY id") == [(1,), (3,), (5,)]


@pytest.mark.parametrize("sku", ["x", None])
def test_no_balance_falls_below_the_minimum_and_the_message_says_which_would(store: Store, sku: str | None) -> None:
    with pytest.raises(IntegrityError, match=f"warehouse A, sku {sku or 'NULL'} in inventory would be -1.00; it"):
        store.add(-1, sku=sku)
    store.add(5, sku=sku)
    with pytest.raises(IntegrityError, match=r"would be -0\.01; it cannot fall below 0"):
        store.add(Decimal("-5.01"), sku=sku)
    with pytest.raises(IntegrityError, match="warehouse B"):
        store.query("INSERT INTO inventory (value, warehouse, sku) VALUES (-1, 'A', %s), (-1, 'B', %s)", sku, sku)
    store.query("INSERT INTO inventory (value, warehouse, sku) VALUES (-6, 'A', %s), (1, 'A', %s)", sku, sku)
    assert store.balances() == store.sums() == {("A", sku): 0}


def test_a_check_is_behind_the_message(store: Store) -> None:
    store.add(5)
    store.query("ALTER TABLE inventory_balance DISABLE TRIGGER USER")
    with pytest.raises(IntegrityError, match="inventory_balance_minimum"):
        store.query("UPDATE inventory_balance SET balance = -1")


@pytest.mark.parametrize("minimum", [-10, 10, Decimal("0.5")])
def test_a_minimum_can_be_any_number(unblocked: None, minimum: Any) -> None:
    with new_store(plugins=[Balance(dimensions=["warehouse"], minimum=minimum)]) as store:
        with pytest.raises(IntegrityError, match="cannot fall below"):
            store.add(minimum - 1)
        store.add(minimum)
        with pytest.raises(IntegrityError, match="cannot fall below"):
            store.add("-0.01")
        store.add(1)
        assert store.query("SELECT warehouse, balance FROM inventory_balance") == [("A", minimum + 1)]


def test_what_is_too_big_to_be_counted_is_refused(unblocked: None) -> None:
    for field, big in ((models.IntegerField(), 2**31 - 1), (models.BigIntegerField(), 2**63 - 1)):
        with new_store(fields={"value": field}) as store:
            store.query("INSERT INTO inventory (value, warehouse) SELECT %s, 'A' FROM generate_series(1, 1)", big)
            if big < 2**32:
                store.query("INSERT INTO inventory (value, warehouse) SELECT %s, 'A' FROM generate_series(1, 3)", big)
                assert store.balances() == {("A", None): 4 * big}
                continue
            with pytest.raises(DatabaseError, match="out of range"):
                store.query("INSERT INTO inventory (value, warehouse) VALUES (1, 'A')")
            assert store.balances() == store.sums()


def test_a_ledger_may_have_several_balances_and_one_for_reading_only(unblocked: None) -> None:
    plugins = [KEPT, Balance(dimensions=["sku"], name="stock")]
    with new_store(plugins=plugins) as store:
        store.add(5), store.add(3, "B")
        assert store.query("SELECT sku, balance FROM inventory_stock") == [("x", 8)]
        assert store.balances() == {("A", "x"): 5, ("B", "x"): 3}


def test_balances_are_written_by_nobody_else(store: Store) -> None:
    store.add(5)
    before = store.balances()
    store.query("INSERT INTO inventory_balance VALUES (9, 'Z', 'z', 5)")
    with connections[store.site.alias].cursor() as cursor, cursor.copy("COPY inventory_balance FROM STDIN") as copy:
        copy.write("9\tZ\tz\t5\n")
    store.query("UPDATE inventory_balance SET balance = balance")
    for statement in (
        "UPDATE inventory_balance SET balance = 9",
        "DELETE FROM inventory_balance",
        "TRUNCATE inventory_balance",
        "TRUNCATE inventory, inventory_balance",
        "SET pgcraft.balance = 'on'; UPDATE inventory_balance SET balance = 9",
        "INSERT INTO inventory_balance VALUES (1, 'A', 'x', 1) ON CONFLICT (id) DO UPDATE SET balance = 9; "
        "UPDATE inventory_balance SET id = 2",
    ):
        with pytest.raises(IntegrityError, match="refused"):
            store.query(statement)
    assert store.balances() == before


def test_a_trigger_of_somebody_else_changes_no_balance_and_no_key(unblocked: None) -> None:
    """Who may write every table may not make balances of their own, from within a trigger neither."""
    with new_store(idempotency=True) as store, app_user(store.site.alias) as user:
        store.add(5)
        for statement, refusal in (
            ("UPDATE private.inventory_balance SET balance = 1000", "23001"),
            ("DELETE FROM private.inventory_balance", "23001"),
            ("INSERT INTO private.inventory_balance (id, warehouse, sku, balance) VALUES (9, 'B', 'x', 9)", ""),
            ("INSERT INTO private.inventory_key VALUES ('k', gen_random_uuid(), now())", ""),
            ("UPDATE private.inventory SET value = 1000", "23001"),
            ("INSERT INTO private.inventory (value, warehouse, sku) VALUES (-6, 'A', 'x')", "23514"),
            (
                "INSERT INTO private.inventory (value, warehouse, sku, idempotency_key) VALUES (1, 'A', 'x', 'own')",
                "",
            ),
        ):
            assert user.from_a_trigger(statement) == refusal, statement
        for statement in ("UPDATE private.inventory_key SET entry_id = NULL", "DELETE FROM private.inventory_key"):
            assert user.from_a_trigger(statement) == "23001", statement
        assert store.balances() == store.sums() == {("A", "x"): 6}
        assert store.query("SELECT idempotency_key FROM inventory_key") == [("own",)]


def test_a_request_books_and_can_do_nothing_else(unblocked: None) -> None:
    with new_store(api=EVERYTHING, plugins=[Balance(["warehouse", "sku"], 0, api=EVERYTHING)]) as store:
        store.query("SET ROLE webuser")
        store.query("INSERT INTO api.inventory (value, warehouse, sku) VALUES (5, 'A', 'x')")
        assert store.query("SELECT warehouse, sku, balance FROM api.inventory_balance") == [("A", "x", 5)]
        for statement in (
            "UPDATE api.inventory SET value = 6",
            "DELETE FROM api.inventory",
            "INSERT INTO api.inventory (value, warehouse, created_at) VALUES (5, 'A', '2000-01-01')",
            "INSERT INTO api.inventory (value, warehouse, id) VALUES (5, 'A', 77)",
            "INSERT INTO api.inventory_balance (warehouse, balance) VALUES ('B', 5)",
            "UPDATE api.inventory_balance SET balance = 6",
            "DELETE FROM api.inventory_balance",
            "SELECT * FROM private.inventory_balance",
            "SELECT private.inventory_balance_refused('', 1)",
            """CREATE TEMP TABLE forged (id bigint, warehouse text, sku text, value numeric);
               CREATE TRIGGER forged AFTER INSERT ON forged REFERENCING NEW TABLE AS new_rows
               FOR EACH STATEMENT EXECUTE FUNCTION private.inventory_balance_kept()""",
        ):
            with pytest.raises(DatabaseError, match="permission denied"):
                store.query(statement)
        store.query("CREATE TEMP TABLE inventory_balance (id bigint, warehouse text, sku text, balance numeric)")
        store.query("CREATE DOMAIN pg_temp.numeric AS float8; CREATE DOMAIN pg_temp.text AS varchar(1)")
        store.query("SET search_path = pg_temp, api")
        store.query("INSERT INTO api.inventory (value, warehouse, sku) VALUES (1, 'A', 'x')")
        assert store.query("SELECT balance FROM api.inventory_balance") == [(6,)]
        store.query("RESET ROLE")
        assert store.query("SELECT count(*) FROM pg_temp.inventory_balance") == [(0,)]


def test_the_last_unit_is_sold_once(store: Store) -> None:
    def sell(rounds: int) -> int:
        sold = 0
        with administrator(store.database) as connection:
            for number in range(rounds):
                try:
                    connection.execute(f"INSERT INTO private.inventory (value, warehouse) VALUES (-1, 'W{number}')")
                except psycopg.errors.CheckViolation:
                    continue
                sold += 1
        return sold

    rounds = 60
    store.query("INSERT INTO inventory (value, warehouse) SELECT 1, 'W' || n FROM generate_series(0, %s) n", rounds - 1)
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(sell, [rounds] * 4)) == rounds
    assert set(store.balances().values()) == {0}
    assert store.balances() == store.sums()


def test_statements_that_touch_the_same_groups_do_not_deadlock(store: Store) -> None:
    """Each books to all groups, new and old, in an order of its own."""

    def book(direction: str) -> None:
        with administrator(store.database) as connection:
            for number in range(40):
                connection.execute(
                    "INSERT INTO private.inventory (value, warehouse)"
                    f" SELECT 1, 'W' || n FROM generate_series({number}, {number} + 20) n ORDER BY n {direction}"
                )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(book, ["ASC", "DESC"] * 2))
    assert store.balances() == store.sums()


def test_functions_are_closed_and_pinned(store: Store) -> None:
    assert store.site.catalog()["function privileges"] == frozenset()
    found = store.query(
        "SELECT proname, proconfig FROM pg_proc WHERE prosecdef AND pronamespace = 'private'::regnamespace"
    )
    assert found
    assert all(path == ["search_path=pg_catalog, pg_temp"] for _, path in found)


def test_an_entry_with_an_id_of_its_own_choice_breaks_no_rule(store: Store) -> None:
    """An id that is not above zero is not promised to work, but never makes a balance wrong."""
    for key, value in ((-5, -1), (0, -1), (0, 5), (-7, -6), (-8, -2), (-9, 4), (3, -2)):
        insert = f"INSERT INTO inventory (id, value, warehouse) VALUES ({key}, {value}, 'A')"
        with contextlib.suppress(IntegrityError):
            store.query(insert)
        assert store.balances() == store.sums()
        assert all(balance >= 0 for balance in store.balances().values())
    assert store.query("SELECT count(*) FROM inventory_balance WHERE id < 0") == [(0,)]
