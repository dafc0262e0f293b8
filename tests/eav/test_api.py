"""Attributes over HTTP, by a PostgREST that is up."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from django.db import DataError

from pgcraft_django.api import API
from tests.eav.catalogue import declare
from tests.support.databases import run_without_triggers
from tests.support.served import Served, repeated, serve
from tests.support.world import evolved

SHOWN = [
    API(grants={"webuser": "all"}),
    API("public_products", columns=["price", "sku", "id"], grants={"anon": ["select"], "webuser": "all"}),
]
BACK = {"Prefer": "return=representation"}


@pytest.fixture(scope="module")
def server(django_db_blocker: Any) -> Iterator[Served]:
    steps = (lambda apps: declare(apps, api=API(grants={"webuser": "all"}))), declare_twice
    with django_db_blocker.unblock(), evolved(*steps) as (_, site), serve(site.alias) as served:
        yield served


def declare_twice(apps: Any) -> None:
    declare(apps, api=SHOWN[0])
    apps.get_model("shop", "Product").PGCraft.api = SHOWN
    apps.get_model("shop", "Product").PGCraft.attribute_api = None


@pytest.fixture
def api(server: Served, unblocked: None) -> Iterator[Served]:
    yield server
    run_without_triggers(
        server.alias, *(f"DELETE FROM {table}" for table in ("lines", "products_entity", "categories"))
    )


def post(api: Served, path: str = "/products", **values: Any) -> Any:
    answer = api.webuser.post(path, json=values, headers=BACK)
    assert answer.status_code == 201, answer.text
    return answer.json()[0]


def get(api: Served, **query: str) -> list[Any]:
    answer = api.webuser.get("/products", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def test_what_a_write_answers_is_what_the_next_read_shows(api: Served) -> None:
    made = post(
        api, sku="a", weight=1.5, price="2", seen="2026-01-01T00:00:00+05:00", marks=[1, None], details={"a": 1}
    )
    assert (made["size"], made["stock"], made["weight"], made["price"]) == ("M", 0, 1.5, 2)
    assert get(api) == [made]
    assert '"weight":1.500000' in api.webuser.get("/products").text
    changed = api.webuser.patch("/products", params={"id": f"eq.{made['id']}"}, json={"weight": None}, headers=BACK)
    assert changed.json() == get(api) == [{**made, "weight": None}]
    gone = api.webuser.delete("/products", params={"sku": "eq.a"}, headers=BACK)
    assert (gone.json(), get(api)) == (changed.json(), [])


@pytest.mark.parametrize(
    ("values", "status", "message"),
    [
        ({"sku": None}, 400, "violates not-null constraint"),
        ({"sku": "a", "size": "XXL"}, 400, "none of the choices"),
        ({"sku": "x" * 21}, 400, "too long"),
        ({"sku": "taken"}, 409, "duplicate key"),
        ({"sku": "a", "category_id": 99}, 409, "foreign key"),
    ],
)
def test_what_breaks_a_rule_is_refused_in_plain_words(api: Served, values: Any, status: int, message: str) -> None:
    post(api, sku="taken")
    answer = api.webuser.post("/products", json=values)
    assert (answer.status_code, message in answer.json()["message"]) == (status, True), answer.text


def test_columns_out_of_order_and_hidden_ones_are_no_problem(api: Served) -> None:
    made = post(api, "/public_products", sku="a", price=3)
    assert list(made) == ["price", "sku", "id"]
    assert api.anon.get("/public_products").json() == [made]
    whole = get(api)[0]
    assert (whole["size"], whole["stock"], whole["seen"] is None) == ("M", 0, False)
    api.webuser.patch("/products", params={"id": f"eq.{made['id']}"}, json={"color": "red"})
    api.webuser.patch("/public_products", params={"id": f"eq.{made['id']}"}, json={"price": 4})
    assert get(api) == [{**whole, "color": "red", "price": 4}]


def test_nobody_gets_more_than_was_granted(api: Served) -> None:
    key = post(api, sku="a")["id"]
    assert api.anon.get("/products").status_code == 401
    assert api.anon.patch("/public_products", params={"id": f"eq.{key}"}, json={"price": 1}).status_code == 401
    assert api.anon.post("/public_products", json={"sku": "b"}).status_code == 401
    for table in ("products_entity", "products_attribute", "products_document"):
        assert api.webuser.get(f"/{table}").status_code == 404
    assert api.execute("SELECT has_schema_privilege('webuser', 'private', 'USAGE')") == [(False,)]
    assert (
        api.execute("""
        SELECT grantee::regrole::text, privilege_type FROM pg_class, aclexplode(relacl)
        WHERE relname ~ '^products' AND relnamespace = 'private'::regnamespace AND grantee <> relowner
    """)
        == []
    )


def test_references_are_embedded_both_ways(api: Served) -> None:
    category = post(api, "/categories", name="tools")["id"]
    product = post(api, sku="a", category_id=category)["id"]
    post(api, "/lines", product_id=product)
    assert get(api, select="sku,categories(name),lines(amount)") == [
        {"sku": "a", "categories": {"name": "tools"}, "lines": [{"amount": 1}]}
    ]
    answer = api.webuser.get("/categories", params={"select": "name,products(sku)"})
    assert answer.json() == [{"name": "tools", "products": [{"sku": "a"}]}]
    answer = api.webuser.get("/lines", params={"select": "amount,products(sku)"})
    assert answer.json() == [{"amount": 1, "products": {"sku": "a"}}]


def test_concurrent_requests_all_get_an_answer_and_none_is_lost(api: Served) -> None:
    key = post(api, sku="a")["id"]

    def write(number: int) -> int:
        values = {"color": f"c{number}"} if number % 2 else {"stock": number + 1}
        request = {"params": {"id": f"eq.{key}"}, "json": values, "timeout": 60}
        return repeated(lambda: api.webuser.patch("/products", **request)).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(200))) == {204}
    count = "SELECT count(*) FROM products_attribute WHERE id = %s AND operation = 'update' AND attribute = '%s'"
    assert [api.execute(count % (key, name)) for name in ("color", "stock")] == [[(100,)], [(100,)]]


def test_the_log_names_who_asked(api: Served) -> None:
    key = post(api, sku="a")["id"]
    headers = api.token(role="webuser", sub="alice")
    api.webuser.patch("/products", params={"id": f"eq.{key}"}, json={"color": "red"}, headers=headers)
    assert api.execute(f"SELECT actor FROM products_attribute WHERE id = {key} AND attribute = 'color'") == [("alice",)]


def upsert(api: Served, rows: Any, client: Any = None) -> httpx.Response:
    return (client or api.webuser).post("/rpc/products_upsert", json=rows)


def test_an_upsert_inserts_what_is_new_and_changes_what_is_given(api: Served) -> None:
    [made] = upsert(api, {"sku": "a", "color": "red", "weight": 1.5}).json()
    assert [made] == get(api)
    assert (made["size"], made["stock"]) == ("M", 0)
    changed = upsert(api, [{"sku": "a", "color": None, "stock": 3}, {"sku": "b", "color": None, "stock": 4}]).json()
    assert changed[0] == {**made, "color": None, "stock": 3}
    assert changed == get(api, order="id")
    assert upsert(api, {"id": made["id"], "sku": "c"}).json() == [{**changed[0], "sku": "c"}]


@pytest.mark.parametrize(
    ("rows", "status", "message"),
    [
        ({"sku": "a", "colour": "red"}, 400, "There is no column colour in products."),
        ([{"sku": "a", "size": "S"}, {"sku": "b", "size": "XXL"}], 400, "none of the choices"),
        ({"sku": "x" * 21}, 400, "too long"),
        ({"id": 10_000, "sku": "taken"}, 409, "duplicate key"),
        ({"sku": "a", "stock": "many"}, 400, "invalid input syntax"),
    ],
)
def test_a_wrong_upsert_is_refused_as_a_whole(api: Served, rows: Any, status: int, message: str) -> None:
    post(api, sku="taken")
    answer = upsert(api, rows)
    assert (answer.status_code, message in answer.json()["message"]) == (status, True), answer.text
    assert [row["sku"] for row in get(api)] == ["taken"]


def test_an_upsert_takes_objects(api: Served) -> None:
    with pytest.raises(DataError, match="takes an object of columns and values"):
        api.execute("SELECT api.products_upsert('[1]')")


def test_rows_of_an_upsert_have_different_columns_where_the_address_names_one(api: Served) -> None:
    rows = [{"sku": "a", "price": 1}, {"sku": "b"}]
    assert api.webuser.post("/rpc/products_upsert", json=rows).status_code == 400
    answer = api.webuser.post("/rpc/products_upsert?columns=sku&select=sku,price", json=rows)
    assert answer.json() == [{"sku": "a", "price": 1}, {"sku": "b", "price": None}]


def test_only_who_may_read_insert_and_update_may_upsert(api: Served) -> None:
    assert api.anon.post("/rpc/public_products_upsert", json={"sku": "a"}).status_code == 401
    assert upsert(api, {"sku": "a"}, api.anon).status_code == 401


def test_of_many_upserts_at_once_one_inserts(api: Served) -> None:
    def write(number: int) -> int:
        request = {"json": {"sku": "a", "stock": number}, "timeout": 60}
        return repeated(lambda: api.webuser.post("/rpc/products_upsert", **request)).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(40))) == {200}
    assert len(get(api)) == 1
