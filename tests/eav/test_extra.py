"""Attributes that end users define while all is running."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.core.exceptions import ValidationError
from django.db import DatabaseError, DataError, IntegrityError, connections, transaction
from psycopg.errors import CheckViolation, RestrictViolation

from pgcraft_django.admin import EAVAdmin
from tests.eav.catalogue import OPEN, declare
from tests.eav.conftest import Shop
from tests.support.databases import administrator, wait_until_blocked
from tests.support.served import Served, serve
from tests.support.world import World, new_site

TYPES = {"colour": "text", "wheels": "integer", "mass": "number", "new": "boolean", "made": "date", "seen": "datetime"}
VALUES = {
    "colour": "red",
    "wheels": 4,
    "mass": 1.5,
    "new": True,
    "made": "2024-02-29",
    "seen": "2024-02-29T12:00:00+00:00",
}

CANDIDATES = [
    *(True, 0, 1, -3, 1.5, 1.0, 10**30, None, [], {}, "", "x", "1", "true", "NaN", "infinity", "now"),
    *("2024-02-29", "2023-02-29", "2024-13-01", "0000-01-01", "2024-2-9", "2024-02-29T12:00", "2024-02-29T12:00Z"),
    *("2024-02-29T12:00:00.123456+02:00", "2024-02-29T12:00:00.1234567Z", "2024-02-29 12:00Z", "2023-02-29T12:00Z"),
    *("2024-02-29T25:00Z", "2024-02-29T12:00+0200", "٢٠٢٤-٠٢-٢٩"),
]


@pytest.fixture(scope="module")
def served(django_db_blocker: Any) -> Iterator[tuple[Shop, Served]]:
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        site = stack.enter_context(new_site())
        world = World()
        site.migrate(world.evolve(lambda apps: declare(apps, extra=True, extra_api=OPEN)))
        yield Shop(world, site), stack.enter_context(serve(site.alias))


@pytest.fixture
def shop(served: tuple[Shop, Served], unblocked: None) -> Iterator[Shop]:
    shop, _ = served
    shop.rows("ProductExtra").bulk_create(shop.model("ProductExtra")(name=name, type=of) for name, of in TYPES.items())
    yield shop
    shop.rows().all().delete()
    shop.rows("ProductExtra").all().delete()


def test_values_are_stored_read_and_filtered_by_the_orm(shop: Shop) -> None:
    product = shop.rows().create(sku="a", extra=VALUES)
    shop.rows().create(sku="b", extra={"wheels": 10})
    assert shop.rows().get(extra__colour="red", extra__wheels__lt=5).extra == VALUES
    assert list(shop.rows().order_by("extra__wheels").values_list("sku", flat=True)) == ["a", "b"]
    product.extra = {**VALUES, "colour": "blue"}
    product.save()
    assert shop.log(product)[-1] == ("extra.colour", "red", "blue", "update")
    assert {line[0] for line in shop.log(product) if line[3] == "insert"} >= {f"extra.{name}" for name in TYPES}


def test_where_the_page_of_a_row_leaves_them_out_they_are_not_among_its_changes(shop: Shop, rf: Any) -> None:
    product = shop.rows().create(sku="a", extra=VALUES)
    admin = EAVAdmin(shop.model("Product"), AdminSite())
    for fields, are_shown in ((["sku", "extra"], True), (["sku"], False)):
        admin.fields = fields
        shown = {change.attribute for change in admin._changes(rf.get("/"), product)}
        assert ("sku" in shown, "extra.colour" in shown) == (True, are_shown)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smell", "good"),
        ("colour", 1),
        ("colour", None),
        ("wheels", 1.5),
        ("wheels", "4"),
        ("mass", "heavy"),
        ("new", 1),
        ("made", "2023-02-29"),
        ("made", "yesterday"),
        ("seen", "2024-01-01"),
    ],
)
def test_what_is_not_defined_or_of_another_type_is_refused(shop: Shop, name: str, value: Any) -> None:
    with pytest.raises((IntegrityError, DataError), match=f"{name}|out of range"):
        shop.rows().create(sku="a", extra={name: value})
    with pytest.raises(IntegrityError, match="object of names and values"):
        shop.rows().create(sku="a", extra=[name])


def test_an_equal_number_is_not_the_same_value(shop: Shop) -> None:
    product = shop.rows().create(sku="a", extra={"wheels": 4, "mass": 1})
    with pytest.raises(IntegrityError, match=r"4\.0 is no integer"):
        shop.query("""UPDATE products SET extra = '{"wheels": 4.0, "mass": 1}'""")
    shop.query("""UPDATE products SET extra = '{"wheels": 4, "mass": 1.0}'""")
    [(name, old, new, _)] = [change for change in shop.log(product) if change[3] == "update"]
    assert (name, str(old), str(new)) == ("extra.mass", "1", "1.0")


def test_full_clean_says_what_the_database_would_refuse(shop: Shop) -> None:
    """So a form, as in the admin, has a message instead of an error page."""
    product = shop.rows().create(sku="a")
    for value in CANDIDATES:
        for name in (*TYPES, "smell"):
            product.extra = {name: value}
            refused = ""
            try:
                with transaction.atomic(using=shop.site.alias):
                    shop.query("UPDATE products_entity SET data.extra = %s", json.dumps(product.extra))
                    transaction.set_rollback(True, using=shop.site.alias)
            except DatabaseError as error:
                refused = str(error)
            try:
                product.validate_constraints()  # as full_clean() does
            except ValidationError as error:
                [message] = error.message_dict["extra"]
                assert refused, (name, value, message)
                assert message.removesuffix(".") in refused or "out of range" in refused or "not defined" in refused
            else:
                assert not refused, (name, value, refused)


def test_full_clean_takes_an_empty_field_of_a_form_for_no_value(shop: Shop) -> None:
    product = shop.model("Product")(sku="a", extra=None)
    product._state.db = shop.site.alias
    product.validate_constraints()
    assert product.extra == {}
    product.extra = [1]
    with pytest.raises(ValidationError, match="an object of names and values"):
        product.validate_constraints()
    product.validate_constraints(exclude=["extra"])


def test_a_definition_stays_while_there_are_values(shop: Shop) -> None:
    product = shop.rows().create(sku="a", extra={"colour": "red"})
    for change in ("DELETE FROM products_extra WHERE name = 'colour'", "UPDATE products_extra SET type = 'integer'"):
        with pytest.raises(IntegrityError, match="colour is in use"):
            shop.query(change)
    with pytest.raises(IntegrityError, match="products_extra_type"):
        shop.query("INSERT INTO products_extra VALUES ('x', 'colour')")
    product.extra = {}
    product.save()
    shop.query("DELETE FROM products_extra WHERE name = 'colour'")


def test_a_definition_stays_while_somebody_is_writing_a_value(shop: Shop) -> None:
    [[database]] = shop.query("SELECT current_database()")
    with ThreadPoolExecutor(1) as pool, administrator(database) as writer, administrator(database) as remover:
        writer.execute("""BEGIN; INSERT INTO private.products (sku, extra) VALUES ('a', '{"colour": "red"}')""")
        remove = "DELETE FROM private.products_extra WHERE name = 'colour'"
        removing = pool.submit(remover.execute, remove)
        wait_until_blocked(removing, database)
        writer.execute("COMMIT")
        with pytest.raises(RestrictViolation, match="colour is in use"):
            removing.result()


def test_a_value_waits_for_who_is_removing_its_definition(shop: Shop) -> None:
    [[database]] = shop.query("SELECT current_database()")
    with ThreadPoolExecutor(1) as pool, administrator(database) as writer, administrator(database) as remover:
        remover.execute("BEGIN; DELETE FROM private.products_extra WHERE name = 'colour'")
        write = """INSERT INTO private.products (sku, extra) VALUES ('a', '{"colour": "red"}')"""
        writing = pool.submit(writer.execute, write)
        wait_until_blocked(writing, database)
        remover.execute("COMMIT")
        with pytest.raises(CheckViolation, match="colour is not defined"):
            writing.result()


def test_they_are_defined_stored_and_filtered_over_http(shop: Shop, served: tuple[Shop, Served]) -> None:
    api = served[1].webuser
    assert api.post("/products_extra", json={"name": "finish", "type": "text"}).status_code == 201
    assert api.post("/products", json={"sku": "a", "extra": {"finish": "matt"}}).status_code == 201
    assert api.post("/products", json={"sku": "b", "extra": {"finish": 1}}).status_code == 400
    found = api.get("/products", params={"select": "sku,finish:extra->>finish", "extra->>finish": "eq.matt"})
    assert found.json() == [{"sku": "a", "finish": "matt"}]
    answer = api.delete("/products_extra", params={"name": "eq.finish"})
    assert "finish is in use" in answer.json()["message"]


def test_a_copy_through_the_view_is_checked_and_logged_as_any_other_insert(shop: Shop) -> None:
    def copy(row: str) -> None:
        sql = "COPY products (sku, extra) FROM STDIN"
        with connections[shop.site.alias].cursor() as cursor, cursor.copy(sql) as rows:
            rows.write(row)

    with pytest.raises(CheckViolation, match="smell is not defined"):
        copy('a\t{"smell": "good"}\n')
    copy('a\t{"wheels": 4}\n')
    logged = shop.log(shop.rows().get(sku="a"))
    assert ("sku", None, "a", "insert") in logged
    assert ("extra.wheels", None, 4, "insert") in logged


def test_a_copy_past_the_view_that_is_no_dump_is_checked_and_logged(shop: Shop) -> None:
    product = shop.rows().create(sku="a", extra={"wheels": 4})
    with connections[shop.site.alias].cursor() as cursor:
        with cursor.copy("COPY (SELECT id + 1000, data FROM products_entity) TO STDOUT") as rows:
            row = b"".join(bytes(part) for part in rows)

        def copy(row: bytes) -> None:
            with cursor.copy("COPY products_entity (id, data) FROM STDIN") as rows:
                rows.write(row)

        former = product.pk
        product.delete()
        with pytest.raises(CheckViolation, match="smell is not defined"):
            copy(row.replace(b"wheels", b"smell"))
        copy(row)
    logged = shop.log(shop.rows().get(pk=former + 1000))
    assert ("sku", None, "a", "insert") in logged
    assert ("extra.wheels", None, 4, "insert") in logged
