"""A ledger over HTTP, by a PostgREST that is up."""

import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from pgcraft_django.api import API
from pgcraft_django.plugins import Balance, DoubleEntry
from tests.ledger.stock import declare
from tests.support.served import Served, serve
from tests.support.world import evolved

READING = API(grants={"anon": ["select"], "webuser": ["select"]})


@pytest.fixture(scope="module")
def server(django_db_blocker: Any) -> Iterator[Served]:
    with django_db_blocker.unblock(), evolved(everything) as (_, site), serve(site.alias) as served:
        yield served


def everything(apps: Any) -> None:
    declare(
        apps,
        api=API(grants={"anon": ["select"], "webuser": "all"}),
        idempotency=True,
        record_grants=["webuser"],
        plugins=[Balance(["warehouse", "sku"], 0, api=READING)],
        fields={"order": models.IntegerField(default=1), "day": models.DateField(null=True)},
    )
    declare(
        apps,
        name="Parted",
        table="parted",
        api=API(grants={"anon": ["select"], "webuser": "all"}),
        idempotency=True,
        partition_by="month",
        record_grants=["webuser"],
        plugins=[Balance(["warehouse"], 0, api=READING)],
    )
    computed = {
        "due": models.DateTimeField(db_default=Now() + datetime.timedelta(days=30)),
        "seen": models.DateTimeField(null=True, db_default=Now()),
        "details": models.JSONField(default=dict),
        "marks": ArrayField(models.TextField(), default=list),
        "least": models.SmallIntegerField(default=-32768),
    }
    bills = {"fields": computed, "idempotency": True, "record_grants": ["webuser"], "plugins": []}
    declare(apps, name="Bill", table="bills", api=READING, **bills)
    plugins = [DoubleEntry()]
    declare(apps, name="Account", table="accounts", api=None, record_grants=["webuser"], plugins=plugins)


@pytest.fixture
def api(server: Served, unblocked: None) -> Served:
    return server


def record(api: Served, what: str = "inventory_record", /, **arguments: object) -> Any:
    return api.webuser.post(f"/rpc/{what}", json=arguments)


def balance(api: Served, warehouse: str) -> Any:
    answer = api.anon.get("/inventory_balance", params={"warehouse": f"eq.{warehouse}", "select": "balance"})
    return [row["balance"] for row in answer.json()]


def test_one_leg_by_names_and_types(api: Served) -> None:
    answer = record(api, value="5.5", warehouse="one", sku="x", day="2020-01-31")
    assert answer.status_code == 200, answer.text
    [row] = answer.json()
    assert {name for name in ("id", "entry_id", "created_at") if row.pop(name)} == {"id", "entry_id", "created_at"}
    assert row == {
        "value": 5.5,
        "warehouse": "one",
        "sku": "x",
        "order": 1,
        "day": "2020-01-31",
        "idempotency_key": None,
    }
    assert balance(api, "one") == [5.5]


def test_an_amount_that_a_client_has_added_up_is_what_it_means(api: Served) -> None:
    [row] = record(api, value=0.1 + 0.2, warehouse="floats").json()
    assert (row["value"], balance(api, "floats")) == (0.3, [0.3])


def test_what_a_call_leaves_out_gets_the_default_of_its_column(api: Served) -> None:
    one = record(api, "bills_record", value=1, warehouse="a")
    several = record(api, "bills_record_legs", legs=[{"value": 1, "warehouse": "a"}])
    for answer in (one, several):
        assert answer.status_code == 200, answer.text
        [row] = answer.json()
        assert (row["details"], row["marks"]) == ({}, [])
        due, seen = (datetime.datetime.fromisoformat(row[name]) for name in ("due", "seen"))
        assert due - seen == datetime.timedelta(days=30)


def test_a_time_that_a_call_leaves_out_is_no_content(api: Served) -> None:
    call = {"value": 1, "warehouse": "a", "idempotency_key": "bill"}
    first = record(api, "bills_record", **call).json()
    assert record(api, "bills_record", **call).json() == first
    given = {name: first[0][name] for name in ("due", "seen")}
    assert record(api, "bills_record", **call, **given).json() == first
    assert record(api, "bills_record", **call, **given | {"seen": "2026-01-01T00:00:00Z"}).status_code == 409
    assert record(api, "bills_record", **call | {"value": 2}).status_code == 409
    legs = [{"value": 1, "warehouse": "b"}] * 2
    rows = [record(api, "bills_record_legs", legs=legs, idempotency_key="two").json() for _ in range(2)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 2


def test_rivals_with_one_key_get_one_entry(api: Served) -> None:
    call = {"value": 1, "warehouse": "rivals"}
    for number in range(10):
        with ThreadPoolExecutor(4) as pool:
            answers = list(
                pool.map(lambda key: record(api, "bills_record", **call, idempotency_key=key), [f"r{number}"] * 4)
            )
        assert [answer.status_code for answer in answers] == [200] * 4, [answer.text for answer in answers]
        assert len({answer.text for answer in answers}) == 1


def test_as_many_other_legs_are_a_conflict(api: Served) -> None:
    one, two = {"value": 5, "warehouse": "legs"}, {"value": "2.0", "warehouse": "legs", "order": 1}
    record(api, "inventory_record_legs", legs=[one, two], idempotency_key="legs")
    again = record(api, "inventory_record_legs", legs=[{**two, "value": 2}, one], idempotency_key="legs")
    assert [row["value"] for row in again.json()] == [5, 2]
    for other in ([one, one], [two, {**two, "value": "2.00"}]):
        answer = record(api, "inventory_record_legs", legs=other, idempotency_key="legs")
        assert (answer.status_code, "belongs to another entry of" in answer.text) == (409, True), answer.text


def test_several_legs_in_one_call_are_one_entry(api: Served) -> None:
    legs = [{"value": 5, "warehouse": "two"}, {"value": -2, "warehouse": "two", "order": 7}]
    rows = record(api, "inventory_record_legs", legs=legs).json()
    assert [(row["value"], row["order"]) for row in rows] == [(5, 1), (-2, 7)]
    assert len({row["entry_id"] for row in rows}) == 1
    assert balance(api, "two") == [3]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ({"value": 1}, 404, "Could not find the function api.inventory_record(value)"),
        ({"value": "much", "warehouse": "bad"}, 400, "invalid input syntax"),
        ({"value": "NaN", "warehouse": "bad"}, 400, "inventory_value"),
        ({"value": 1.105, "warehouse": "bad"}, 400, "1.105 is no amount of inventory, which has 2 decimal places."),
        ({"value": "123456789012345.678", "warehouse": "bad"}, 400, "123456789012345.678 is no amount of inventory"),
        ({"value": -1, "warehouse": "bad"}, 400, "would be -1.00; it cannot fall below 0"),
        ({"value": 1, "warehouse": "bad", "created_at": "2000-01-01"}, 404, "created_at"),
        ({"legs": [{"value": 1, "warehouse": "bad", "id": 7}]}, 400, "A leg of inventory has no id"),
        ({"legs": []}, 400, "at least one object"),
        ({"legs": {"value": 1}}, 400, "at least one object"),
        ({"legs": [{"value": 1, "warehouse": "bad"}, 3]}, 400, "A leg of inventory is an object, and not 3."),
        ({"legs": [None]}, 400, "A leg of inventory is an object, and not null."),
        ({"legs": [{"value": 5, "warehouse": "bad"}, {"value": -6, "warehouse": "bad"}]}, 400, "cannot fall below 0"),
        ({"legs": [{"value": 5}]}, 400, "null value in column"),
        ({"legs": [{"value": 1, "warehouse": "bad"}, {"value": "1e-3"}]}, 400, "1e-3 is no amount of inventory"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_booked(
    api: Served, arguments: dict[str, Any], status: int, message: str
) -> None:
    answer = record(api, "inventory_record_legs" if "legs" in arguments else "inventory_record", **arguments)
    assert (answer.status_code, message in answer.text) == (status, True), answer.text
    assert balance(api, "bad") == []


def test_the_same_key_gives_the_same_entry_and_another_content_a_conflict(api: Served) -> None:
    first = record(api, value=5, warehouse="key", idempotency_key="a").json()
    assert record(api, value=5, warehouse="key", idempotency_key="a").json() == first
    assert len(first) == 1
    for other in ({"value": 6, "warehouse": "key"}, {"value": 5, "warehouse": "other"}):
        answer = record(api, **other, idempotency_key="a")
        assert (answer.status_code, "a belongs to another entry of inventory" in answer.text) == (409, True)
    legs = [{"value": 5, "warehouse": "key"}] * 2
    answer = record(api, "inventory_record_legs", legs=legs, idempotency_key="a")
    assert (answer.status_code, "a belongs to another entry of inventory" in answer.text) == (409, True), answer.text
    rows = [record(api, "inventory_record_legs", legs=legs, idempotency_key="b").json() for _ in range(2)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 2
    assert balance(api, "key") == [15]


@pytest.mark.parametrize("key", ["x\r\nX-Forged: 1\r\n\r\n<p>", "x\n\n", "\r", "x" * 2000, "é"])
def test_a_key_does_not_become_the_head_of_the_answer(api: Served, key: str) -> None:
    """PostgREST makes the message of an error PTxyz the first line of its answer."""
    legs = [{"value": 1, "warehouse": "head"}]
    assert record(api, "inventory_record_legs", legs=legs, idempotency_key=key).status_code == 200
    for other in (legs * 2, [{"value": 2, "warehouse": "head"}]):
        answer = record(api, "inventory_record_legs", legs=other, idempotency_key=key)
        assert (answer.status_code, answer.json()["code"]) == (409, "PT409")
        assert "X-Forged" not in answer.headers
        assert len(answer.json()["message"]) < 300


def test_rivals_with_one_key_get_the_same_entry(api: Served) -> None:
    def ask(_: int) -> Any:
        return record(api, value=1, warehouse="rivals", idempotency_key="r").json()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))
    assert all(answer == answers[0] for answer in answers)
    assert balance(api, "rivals") == [1]


def test_a_plain_insert_books_too(api: Served) -> None:
    row = {"value": 5, "warehouse": "plain", "idempotency_key": "p"}
    for expected in (1, 0):
        answer = api.webuser.post("/inventory", json=row, headers={"Prefer": "return=representation"})
        assert (answer.status_code, len(answer.json())) == (201, expected), answer.text
    answer = api.webuser.post("/inventory", json={**row, "value": 6})
    assert answer.status_code == 409
    for forged in ({"created_at": "2000-01-01"}, {"id": 7}):
        assert api.webuser.post("/inventory", json={"value": 1, "warehouse": "plain", **forged}).status_code == 403
    assert api.webuser.patch("/inventory", json={"value": 1}, params={"id": "gt.0"}).status_code == 403
    assert api.webuser.delete("/inventory", params={"id": "gt.0"}).status_code == 403
    assert balance(api, "plain") == [5]


def test_balances_are_read_only_and_keys_are_nobodys_business(api: Served) -> None:
    [row] = api.anon.get("/inventory_balance", params={"limit": 1}).json()
    assert set(row) == {"warehouse", "sku", "balance"}
    assert api.webuser.post("/inventory_balance", json={"warehouse": "x", "balance": 5}).status_code == 403
    assert api.webuser.patch("/inventory_balance", json={"balance": 5}, params={"sku": "eq.x"}).status_code == 403
    for hidden in ("inventory_key", "accounts", "accounts_unbalanced"):
        assert api.webuser.get(f"/{hidden}").status_code == 404


def test_only_whom_it_is_granted_to_may_book(api: Served) -> None:
    for what, body in (("inventory_record", {"value": 1, "warehouse": "no"}), ("accounts_record_legs", {"legs": []})):
        assert api.anon.post(f"/rpc/{what}", json=body).status_code == 401
    assert balance(api, "no") == []
    found = api.execute("""
        SELECT DISTINCT grantee::regrole::text FROM pg_proc p, aclexplode(proacl)
        WHERE proname ~ 'record|legs' AND grantee <> proowner
    """)
    assert found == [("webuser",)]


def test_debits_and_credits_of_a_call_are_equal(api: Served) -> None:
    legs = [
        {"value": 5, "direction": "debit", "warehouse": "A", "sku": "x"},
        {"value": 5, "direction": "credit", "warehouse": "B", "sku": "x"},
    ]
    assert record(api, "accounts_record_legs", legs=legs).status_code == 200
    answer = record(api, "accounts_record_legs", legs=legs[:1])
    assert (answer.status_code, "Debits and credits" in answer.text) == (400, True), answer.text
    assert record(api, "accounts_record", **legs[0]).status_code == 404  # one leg alone can never be booked


def test_row_level_security_is_not_passed_by(api: Served) -> None:
    with policies(api, "CREATE POLICY own ON inventory USING (warehouse = 'mine')"):
        assert record(api, value=1, warehouse="theirs").status_code == 403
        assert record(api, value=1, warehouse="mine").status_code == 200


def test_a_key_of_a_hidden_entry_is_a_conflict_that_does_not_tell_what_is_in_it(api: Served) -> None:
    legs = [{"value": 1, "warehouse": "theirs"}, {"value": 2, "warehouse": "theirs"}]
    record(api, "inventory_record_legs", legs=legs, idempotency_key="theirs")
    with policies(api, "CREATE POLICY own ON inventory USING (warehouse = 'mine')"):
        guesses = (legs, legs[:1], legs[:1] * 2, [{"value": 3, "warehouse": "theirs"}])
        answers = [record(api, "inventory_record_legs", legs=guess, idempotency_key="theirs") for guess in guesses]
        assert {(answer.status_code, answer.text) for answer in answers} == {(409, answers[0].text)}
        assert "theirs belongs to another entry of inventory" in answers[0].text
    assert balance(api, "theirs") == [3]


def test_who_sees_no_entries_books_all_the_same(api: Served) -> None:
    with policies(api, "CREATE POLICY blind ON inventory FOR INSERT WITH CHECK (true)"):
        answer = record(api, value=1, warehouse="blind", idempotency_key="blind")
        assert (answer.status_code, answer.json()) == (200, [])
    assert balance(api, "blind") == [1]


@contextmanager
def policies(api: Served, policy: str) -> Iterator[None]:
    api.execute(f"ALTER TABLE inventory ENABLE ROW LEVEL SECURITY; {policy}")
    try:
        yield
    finally:
        name = policy.split()[2]
        api.execute(f"DROP POLICY {name} ON inventory; ALTER TABLE inventory DISABLE ROW LEVEL SECURITY")


def test_a_partitioned_ledger_is_served_as_any_other(api: Served) -> None:
    first = record(api, "parted_record", value=5, warehouse="A", idempotency_key="a")
    assert (first.status_code, first.json()[0]["value"]) == (200, 5), first.text
    assert record(api, "parted_record", value=5, warehouse="A", idempotency_key="a").json() == first.json()
    assert record(api, "parted_record", value=6, warehouse="A", idempotency_key="a").status_code == 409
    legs = [{"value": -2, "warehouse": "A"}, {"value": 2, "warehouse": "B"}]
    assert [row["value"] for row in record(api, "parted_record_legs", legs=legs).json()] == [-2, 2]
    added = api.webuser.post(
        "/parted", json={"value": 1, "warehouse": "B"}, headers={"Prefer": "return=representation"}
    )
    assert (added.status_code, added.json()[0]["value"]) == (201, 1), added.text
    refused = record(api, "parted_record", value=-4, warehouse="A")
    assert (refused.status_code, "A in parted would be -1.00; it cannot fall" in refused.text) == (400, True), (
        refused.text
    )

    balances = api.anon.get("/parted_balance", params={"select": "warehouse,balance", "order": "warehouse"})
    assert balances.json() == [{"warehouse": "A", "balance": 3}, {"warehouse": "B", "balance": 3}]
    since = first.json()[0]["created_at"]
    found = {"warehouse": "eq.B", "created_at": f"gte.{since}", "select": "value", "order": "id"}
    assert api.anon.get("/parted", params=found).json() == [{"value": 2}, {"value": 1}]
    assert api.anon.get("/parted", params={**found, "created_at": f"lt.{since}"}).json() == []
    for method in ("patch", "delete"):
        options = {"json": {"value": 9}} if method == "patch" else {}
        answer = getattr(api.webuser, method)("/parted", params={"id": "eq.1"}, **options)
        assert answer.status_code in (403, 405), answer.text
    assert api.webuser.get("/parted_default").status_code == 404
