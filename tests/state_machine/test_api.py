"""Transitions over HTTP, by a PostgREST that is up."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from django.db import DatabaseError, transaction

from pgcraft_django.api import API
from tests.state_machine.orders import declare
from tests.support.served import Served, serve
from tests.support.world import evolved

GRANTS = {"anon": ["select"], "webuser": ["select", "insert", "update"]}
OPTIONS: dict[str, Any] = {
    "api": API(grants=GRANTS),
    "transition_api": API(grants={"webuser": "all"}),
    "transition_grants": {"webuser": ["confirmed", "cancelled"]},
}


@pytest.fixture(scope="module")
def server(django_db_blocker: Any) -> Iterator[Served]:
    steps = (lambda apps: declare(apps, **OPTIONS)), declare_both
    with django_db_blocker.unblock(), evolved(*steps) as (_, site), serve(site.alias) as served:
        yield served


def declare_both(apps: Any) -> None:
    declare(apps, **OPTIONS)
    declare_hidden(apps, {**OPTIONS, "api": None, "transition_api": None})


def declare_hidden(apps: Any, options: dict[str, Any]) -> None:
    declare(apps, name="Parcel", table="parcels", **options)


@pytest.fixture
def api(server: Served, unblocked: None) -> Served:
    return server


def new(api: Served, **values: object) -> int:
    answer = api.webuser.post(
        "/orders", json={"total": 5, "note": "", **values}, headers={"Prefer": "return=representation"}
    )
    assert answer.status_code == 201, answer.text
    return int(answer.json()[0]["id"])


def step(api: Served, key: int, to: str, client: httpx.Client | None = None, **arguments: object) -> httpx.Response:
    return (client or api.webuser).post("/rpc/orders_transition", json={"id": key, "to": to, **arguments})


def state(api: Served, key: int) -> Any:
    return api.execute(f"SELECT state FROM orders WHERE id = {key}")[0][0]


def test_a_step_answers_with_its_line_of_the_log(api: Served) -> None:
    key = new(api)
    answer = api.webuser.post(
        "/rpc/orders_transition",
        json={"id": key, "to": "confirmed", "from": "pending", "reason": "paid", "tracking_code": "X1"},
        headers=api.token(role="webuser", sub="alice"),
    )
    assert answer.status_code == 200, answer.text
    entry = answer.json()
    assert {name for name in ("at", "transition_id") if entry.pop(name)} == {"at", "transition_id"}
    assert entry == {
        "id": key,
        "step": 2,
        "former": False,
        "from_state": "pending",
        "to_state": "confirmed",
        "actor": "alice",
        "reason": "paid",
        "tracking_code": "X1",
    }
    found = api.webuser.get("/orders_transition", params={"id": f"eq.{key}", "order": "transition_id"}).json()
    assert [(line["from_state"], line["to_state"]) for line in found] == [(None, "pending"), ("pending", "confirmed")]


def test_what_is_refused_has_a_status_that_says_why(api: Served) -> None:
    key = new(api, total=0)
    for arguments, status in (
        ({"to": "confirmed"}, 400),  # the guard
        ({"to": "cancelled", "from": "confirmed"}, 409),
        ({"to": "shipped"}, 403),  # the role
        ({"to": "cancelled", "key": 0}, 404),
        ({"to": "lost"}, 400),  # no state
        ({"to": None}, 400),
    ):
        answer = step(api, **{"key": key, **arguments})  # type: ignore[arg-type]
        assert answer.status_code == status, (arguments, answer.text)
    assert step(api, key, "cancelled", client=api.anon).status_code == 401
    assert state(api, key) == "pending"


@pytest.mark.parametrize("said", ["x\r\nX-Forged: 1\r\n\r\n<p>", "x\n\n", "\r", "x" * 200_000, "é"])
def test_what_a_client_says_does_not_become_the_head_of_the_answer(api: Served, said: str) -> None:
    """PostgREST makes the message of an error PTxyz the first line of its answer."""
    answer = step(api, new(api), "cancelled", **{"from": said})
    assert (answer.status_code, answer.json()["code"]) == (409, "PT409")
    assert "X-Forged" not in answer.headers
    assert len(answer.json()["message"]) < 200


def test_of_two_rivals_one_wins(api: Served) -> None:
    with ThreadPoolExecutor(2) as pool:
        for expected in ({}, {"from": "pending"}):
            for _ in range(5):
                key = new(api)
                answers = list(
                    pool.map(lambda to, key=key, expected=expected: step(api, key, to, **expected), ["cancelled"] * 2)
                )
                assert sorted(answer.status_code for answer in answers) == [200, 409]
                assert "is now cancelled" in str([answer.json() for answer in answers])


def test_a_guard_holds_while_somebody_else_changes_what_it_reads(api: Served) -> None:
    def empty(key: int) -> httpx.Response:
        return api.webuser.patch("/orders", params={"id": f"eq.{key}", "state": "eq.pending"}, json={"total": 0})

    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            key = new(api)
            confirmed, emptied = pool.submit(step, api, key, "confirmed"), pool.submit(empty, key)
            assert (confirmed.result().status_code, emptied.result().status_code) in {(200, 204), (400, 204)}
    assert api.execute("SELECT count(*) FROM orders WHERE state = 'confirmed' AND total = 0") == [(0,)]


def test_a_patch_goes_only_where_a_way_is_declared(api: Served) -> None:
    key = new(api)
    rows = {"id": f"eq.{key}"}
    assert api.webuser.patch("/orders", params=rows, json={"state": "shipped"}).status_code == 400
    assert api.webuser.patch("/orders", params=rows, json={"state": "confirmed"}).status_code == 204
    stale = api.webuser.patch("/orders", params=rows, json={"state": "pending"})
    assert (stale.status_code, stale.json()["message"]) == (
        400,
        f"orders {key} is confirmed, and cannot become pending.",
    )
    assert api.webuser.post("/orders", json={"state": "shipped", "total": 1, "note": ""}).status_code == 400


def test_the_log_is_read_only_and_only_by_whom_it_is_opened_to(api: Served) -> None:
    key = new(api)
    line = {"id": key, "to_state": "shipped", "at": "2020-01-01"}
    assert api.webuser.post("/orders_transition", json=line).status_code == 403
    assert api.webuser.patch("/orders_transition", json={"actor": "me"}).status_code == 403
    assert api.webuser.delete("/orders_transition", params={"id": f"eq.{key}"}).status_code == 403
    assert api.anon.get("/orders_transition").status_code == 401


def test_a_client_does_not_choose_the_time(api: Served) -> None:
    key = new(api)
    assert step(api, key, "cancelled", at="2020-01-01").status_code == 404  # there is no such argument
    step(api, key, "cancelled")
    assert api.execute(f"SELECT 1 FROM orders_transition WHERE id = {key} AND at < now() - interval '1 day'") == []


def test_the_function_needs_no_api_of_the_table_and_opens_none(api: Served) -> None:
    api.execute("INSERT INTO parcels (total, note) VALUES (5, '')")
    answer = api.webuser.post("/rpc/parcels_transition", json={"id": 1, "to": "cancelled"})
    assert answer.status_code == 200, answer.text
    assert api.webuser.get("/parcels").status_code == 404
    assert api.anon.post("/rpc/parcels_transition", json={"id": 1, "to": "cancelled"}).status_code == 401


def test_a_constraint_that_refuses_a_step_does_not_show_the_row(api: Served) -> None:
    api.execute("""
        ALTER TABLE parcels ADD CONSTRAINT kept CHECK (state <> 'cancelled' OR note <> 'hidden');
        CREATE UNIQUE INDEX parcels_once ON parcels (note) WHERE state = 'cancelled';
    """)
    parcels = api.execute(
        "INSERT INTO parcels (total, note) VALUES (5, 'hidden'), (5, 'doubled'), (5, 'doubled') RETURNING id"
    )
    try:
        answers = [
            api.webuser.post("/rpc/parcels_transition", json={"id": key, "to": "cancelled"}) for (key,) in parcels
        ]
        assert [(answer.status_code, answer.json().get("code")) for answer in answers] == [
            (400, "23514"),
            (200, None),
            (409, "23505"),
        ]
        assert not any("hidden" in answer.text or "doubled" in answer.text for answer in answers)
        with pytest.raises(DatabaseError, match="Failing row contains"):
            api.execute(f"SELECT private.parcels_transition({parcels[0][0]}, 'cancelled', NULL, NULL, NULL, NULL)")
    finally:
        api.execute("ALTER TABLE parcels DROP CONSTRAINT kept; DROP INDEX parcels_once")


def test_row_level_security_is_not_passed_by(api: Served) -> None:
    mine, theirs = new(api, note="mine"), new(api, note="theirs")
    api.execute("""
        ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
        CREATE POLICY read ON orders FOR SELECT USING (true);
        CREATE POLICY own ON orders FOR UPDATE USING (note = 'mine');
    """)
    try:
        assert step(api, theirs, "cancelled").status_code == 404
        assert (step(api, mine, "cancelled").status_code, state(api, theirs)) == (200, "pending")
    finally:
        api.execute(
            "DROP POLICY read ON orders; DROP POLICY own ON orders; ALTER TABLE orders DISABLE ROW LEVEL SECURITY"
        )


def test_a_role_gets_what_a_step_takes_and_no_more(api: Served) -> None:
    found = api.execute("""
        SELECT attname, privilege_type FROM pg_attribute, aclexplode(attacl) a
        WHERE attrelid = 'private.parcels'::regclass AND grantee = 'webuser'::regrole ORDER BY 1
    """)
    assert found == [("id", "SELECT"), ("state", "UPDATE")]
    functions = api.execute("""
        SELECT proname, nspname, grantee::regrole::text
        FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace, aclexplode(proacl) a
        WHERE proname ~ '^parcels' AND grantee <> proowner ORDER BY 2
    """)
    assert functions == [("parcels_transition", schema, "webuser") for schema in ("api", "private")]


def test_a_role_that_gets_at_the_function_behind_is_judged_by_what_it_is(api: Served) -> None:
    """As one that may look into the schema of the tables: it can neither be nobody nor somebody else."""
    key = new(api)
    owner = api.execute("SELECT current_user")[0][0]
    api.execute("GRANT USAGE ON SCHEMA private TO webuser")
    try:
        for caller in ("NULL", "'webuser'", f"'{owner}'"):
            with pytest.raises(DatabaseError, match="webuser may not lead orders to shipped"):
                as_webuser(api, f"SELECT private.orders_transition({key}, 'shipped', NULL, NULL, {caller}, NULL)")
        as_webuser(api, f"SELECT private.orders_transition({key}, 'cancelled', NULL, NULL, NULL, NULL)")
    finally:
        api.execute("REVOKE USAGE ON SCHEMA private FROM webuser")
    assert state(api, key) == "cancelled"


def as_webuser(api: Served, statement: str) -> None:
    with transaction.atomic(using=api.alias):
        api.execute("SET LOCAL ROLE webuser")
        api.execute(statement)
