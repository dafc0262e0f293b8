"""Values come back exactly as they were given, and rules are kept by the database."""

import datetime
import itertools
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField
from django.core.serializers import serialize
from django.db import DataError, IntegrityError, connections, models

from pgcraft_django.models import PGCraftEAV
from tests.eav.catalogue import define
from tests.eav.conftest import Shop

EXACT = {
    "weight": Decimal("0.123456"),
    "price": Decimal("0.12"),
    "color": "long " * 5_000,
    "since": datetime.date(1, 2, 3),
    "seen": datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=datetime.UTC),
    "lasts": datetime.timedelta(days=-3, microseconds=1),
    "code": uuid.UUID(int=7),
    "ratio": 0.1 + 0.2,
    "details": {"a": [1, None, {"b": "ü"}], "c": None},
    "marks": [Decimal("1.50"), None, Decimal("-0.01")],
    "raw": b"\x00\xff'\\",
    "order": 'a "b" %s {}',
    "size": "%s {}",
    "is_new": False,
    "rating": 0,
    "is_sold": True,
    "stock": 2**31 - 1,
}


def stored(shop: Shop, key: int) -> dict[str, Any]:
    found = shop.rows().filter(pk=key).values().get()
    return {**found, "raw": found["raw"] and bytes(found["raw"])}


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize("style", ["ISO, MDY", "ISO, DMY"])
def test_every_kind_of_value_is_read_back_as_it_was_written(shop: Shop, zone: str, style: str) -> None:
    shop.query("SELECT set_config('TimeZone', %s, false), set_config('DateStyle', %s, false)", zone, style)
    try:
        key = shop.rows().create(sku="a", **EXACT).pk
    finally:
        shop.query("SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, MDY', false)")
    assert {name: value for name, value in stored(shop, key).items() if name in EXACT} == EXACT
    assert shop.rows().filter(**{name: value for name, value in EXACT.items() if name != "raw"}).count() == 1


@pytest.mark.parametrize("name", [*sorted(EXACT.keys() - {"is_sold", "stock", "size"})])
def test_a_value_is_set_back_to_null(shop: Shop, name: str) -> None:
    product = shop.rows().create(sku="a", **EXACT)
    shop.rows().filter(pk=product.pk).update(**{name: None})
    assert stored(shop, product.pk) == {**stored(shop, product.pk), **EXACT, name: None}
    assert shop.log(product)[-1][0] == product._meta.get_field(name).column
    assert shop.log(product)[-1][2] is None


@pytest.mark.parametrize(("name", "values"), [("is_new", (False, None, True, False)), ("rating", (0, None, -1, 0))])
def test_false_and_zero_are_values_and_null_is_none(shop: Shop, name: str, values: tuple[Any, ...]) -> None:
    product = shop.rows().create(sku="a")
    for value in values:
        setattr(product, name, value)
        product.save()
        found = stored(shop, product.pk)[name]
        assert (found, type(found)) == (value, type(value))
        assert shop.rows().filter(**{f"{name}__isnull": value is None}).exists()
        assert value is None or shop.rows().filter(**{name: value}).exists()
    lines = [(old, new) for attribute, old, new, _ in shop.log(product) if attribute == name]
    assert repr(lines) == repr(list(itertools.pairwise((None, *values))))


class PointField(models.Field):  # type: ignore[type-arg]
    """A type that PostgreSQL compares by no operator of its own."""

    def db_type(self, connection: Any) -> str:
        return "point"


def test_a_value_that_is_equal_to_the_former_one_is_not_always_the_same(place: Shop) -> None:
    fields = {
        "lasts": models.DurationField(null=True),
        "parts": ArrayField(models.JSONField(), null=True),
        "spot": PointField(null=True),
    }
    place.site.migrate(place.world.evolve(lambda apps: define(apps, "Product", "products", PGCraftEAV, fields)))
    place.query("INSERT INTO products (lasts, parts, spot) VALUES ('30 days', '{1}', '(1,2)')")
    place.query("UPDATE products SET spot = '(1,2)'")
    place.query("UPDATE products SET lasts = '1 mon', parts = '{1.0}', spot = '(1,3)'")
    assert place.query("SELECT lasts::text, parts::text, spot::text FROM products") == [("1 mon", "{1.0}", "(1,3)")]
    assert place.query("SELECT count(*) FROM products_attribute WHERE operation = 'update'") == [(3,)]


def test_the_log_keeps_all_digits_of_a_number(shop: Shop) -> None:
    product = shop.rows().create(sku="a", weight=Decimal("123456.654321"), price=Decimal("99999999.10"))
    logged = dict(product.history.filter(attribute__in=["weight", "price"]).values_list("attribute", "new_value"))
    assert {name: str(value) for name, value in logged.items()} == {"weight": "123456.654321", "price": "99999999.10"}
    assert isinstance(product.history.get(attribute="price").new_value, Decimal)
    assert product.history.get(new_value=Decimal("99999999.10")).attribute == "price"
    assert product.history.get(new_value__in=["?", Decimal("123456.654321")]).attribute == "weight"
    assert '"new_value" type="JSONField">99999999.10<' in serialize("xml", product.history.all())


def test_a_json_null_is_not_a_missing_value(shop: Shop) -> None:
    key = shop.rows().create(sku="a").pk
    shop.query("UPDATE products SET details = 'null' WHERE id = %s", key)
    assert shop.query("SELECT details IS NULL, details::text FROM products WHERE id = %s", key) == [(False, "null")]


@pytest.mark.parametrize(
    ("values", "code", "message"),
    [
        ({"sku": None}, "23502", 'null value in column "sku" of relation "products" violates not-null constraint'),
        ({"size": "XXL"}, "23514", "'XXL' is none of the choices of size."),
        ({"stock": -1}, "23514", 'violates check constraint "products_stock_check"'),
        ({"price": 1, "weight": -1}, "23514", 'violates check constraint "weighed"'),
        ({"sku": "taken"}, "23505", 'unique constraint "products_sku_key"'),
        ({"color": "RED", "since": "2026-01-01"}, "23505", 'unique constraint "one_a_day"'),
        ({"category_id": 99}, "23503", "violates foreign key constraint"),
        ({"parent_id": 99}, "23503", 'violates foreign key constraint "products_entity_parent_id_fk"'),
    ],
)
@pytest.mark.parametrize("how", ["INSERT", "UPDATE"])
def test_rules_are_kept_whoever_writes(shop: Shop, values: dict[str, Any], code: str, message: str, how: str) -> None:
    shop.rows().create(sku="taken", color="red", since="2026-01-01")
    key = shop.rows().create(sku="mine").pk
    columns = ", ".join(f'"{name}"' for name in values)
    places = ", ".join(["%s"] * len(values))
    statement = (
        f"INSERT INTO products ({columns}) VALUES ({places})"
        if how == "INSERT"
        else f"UPDATE products SET ({columns}) = ROW({places}) WHERE id = {key}"
    )
    if how == "INSERT" and "sku" not in values:
        statement = f"INSERT INTO products (sku, {columns}) VALUES ('new', {places})"
    with pytest.raises(IntegrityError, match=message) as caught:
        shop.query(statement, *values.values())
    assert caught.value.__cause__.sqlstate == code
    assert "Failing row" not in str(caught.value)


def test_what_is_too_long_is_refused_and_not_cut(shop: Shop) -> None:
    with pytest.raises(DataError, match="too long"):
        shop.query("INSERT INTO products (sku) VALUES (%s)", "x" * 21)


def test_rules_hold_for_who_writes_to_the_table_behind(shop: Shop) -> None:
    key = shop.rows().create(sku="a").pk
    with pytest.raises(IntegrityError, match="none of the choices"):
        shop.query("UPDATE products_entity SET data.size = 'XXL'")
    shop.query("ALTER TABLE products_entity DISABLE TRIGGER pgcraft_keep")
    try:
        with pytest.raises(IntegrityError, match="products_size_choices"):
            shop.query("UPDATE products_entity SET data.size = 'XXL'")
    finally:
        shop.query("ALTER TABLE products_entity ENABLE TRIGGER pgcraft_keep")
    with pytest.raises(IntegrityError, match="key of a row in products cannot change"):
        shop.query("UPDATE products_entity SET id = id + 1 WHERE id = %s", key)


def test_defaults_are_those_of_the_database_too(shop: Shop) -> None:
    [(size, stock, seen)] = shop.query("INSERT INTO products (sku) VALUES ('a') RETURNING size, stock, seen")
    assert (size, stock) == ("M", 0)
    assert seen is not None
    assert shop.query("SELECT size, stock, seen FROM products") == [(size, stock, seen)]


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("color = 'c7'", "products_color_idx"),
        ("sku = 's7'", "products_sku_key"),
        ("category_id = 7", "products_entity_category_id"),
        ("parent_id = 7", "products_entity_parent_id"),
        ("lower(color) = 'c7' AND since = '2026-01-01'", "one_a_day"),
        ("stock > 990", "by_stock"),
    ],
)
def test_the_planner_uses_indexes_of_attributes(shop: Shop, condition: str, index: str) -> None:
    shop.query(
        "INSERT INTO products (sku, color, stock, since)"
        " SELECT 's' || g, 'c' || g, g, date '2026-01-01' FROM generate_series(1, 1000) g"
    )
    with connections[shop.site.alias].cursor() as cursor:
        cursor.execute("ANALYZE products_entity")
        cursor.execute(f"EXPLAIN SELECT * FROM products WHERE {condition} AND since IS NOT NULL")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert index in plan


def test_an_index_is_of_the_class_and_in_the_order_that_its_model_says(shop: Shop) -> None:
    [(definition,)] = shop.query("SELECT pg_get_indexdef('by_order'::regclass)")
    of_class = """lower((data)."Größe, order") text_pattern_ops"""
    assert f"({of_class}, ((data).rating) DESC NULLS LAST, ((data).ratio) NULLS FIRST)" in str(definition)
