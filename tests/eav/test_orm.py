"""The whole ORM over attributes, and who changed what."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg
import pytest
from django.core.serializers.base import DeserializedObject
from django.db import (
    IntegrityError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connections,
    models,
    transaction,
)
from django.db.models import Count, F, Max, Sum
from django.utils import timezone
from model_bakery import baker

from pgcraft_django import history_context
from pgcraft_django.models import PGCraftEAV, PGCraftForeignKey, PGCraftSimple
from tests.eav.catalogue import define
from tests.eav.conftest import Shop
from tests.support.databases import administrator, reverse_rows, run_without_triggers, wait_until_blocked


def test_rows_are_filtered_excluded_ordered_annotated_and_aggregated(shop: Shop) -> None:
    tools = shop.rows("Category").create(name="tools")
    shop.rows().bulk_create(
        [shop.model()(sku=f"s{n}", stock=n, category=tools if n % 2 else None, color="red") for n in range(6)]
    )
    assert list(shop.rows().exclude(stock__lt=3).order_by("-stock").values_list("sku", flat=True)) == ["s5", "s4", "s3"]
    assert shop.rows().aggregate(Sum("stock"), Max("sku")) == {"stock__sum": 15, "sku__max": "s5"}
    assert shop.rows().annotate(twice=F("stock") * 2).get(sku="s2").twice == 4
    assert list(shop.rows().values("category__name").annotate(Count("pk")).order_by("category__name")) == [
        {"category__name": "tools", "pk__count": 3},
        {"category__name": None, "pk__count": 3},
    ]
    assert shop.rows("Category").filter(products__stock=5).get() == tools
    with connections[shop.site.alias].execute_wrapper(count := Counter()):
        assert [item.category.name for item in shop.rows().select_related("category").filter(stock=1)] == ["tools"]
        assert [len(item.products.all()) for item in shop.rows("Category").prefetch_related("products")] == [3]
    assert count.number == 3


def test_whole_rows_are_grouped(shop: Shop) -> None:
    root = shop.rows().create(sku="root", details={"a": 1})
    for number in range(2):
        part = shop.rows().create(sku=f"part {number}", parent=root)
        shop.rows("Line").create(product=part, amount=number)
    counted = shop.rows().annotate(number=Count("parts")).order_by("pk")
    assert [(row.sku, row.details, row.number) for row in counted][:2] == [("root", {"a": 1}, 2), ("part 0", None, 0)]
    lines = shop.rows("Line").select_related("product").annotate(number=Count("product__parent__parts"))
    assert [(line.product.sku, line.number) for line in lines.order_by("pk")] == [("part 0", 2), ("part 1", 2)]
    grouped = str(shop.rows("Category").annotate(Count("products")).query).partition("GROUP BY")[2]
    assert '"name"' not in grouped  # tables are grouped by their keys, as ever


def test_model_bakery_follows_a_foreign_key_to_a_view(shop: Shop, settings: Any) -> None:
    settings.BAKER_CUSTOM_FIELDS_GEN = {
        "pgcraft_django.models.PGCraftForeignKey": "model_bakery.random_gen.gen_related",
    }
    line = baker.make(shop.model("Line"), _using=shop.site.alias)
    assert shop.rows("Line").get().product == line.product == shop.rows().get()


def test_what_a_view_cannot_do_with_conflicts_is_refused(shop: Shop) -> None:
    for options in (
        {"ignore_conflicts": True},
        {"update_conflicts": True, "unique_fields": ["sku"], "update_fields": ["stock"]},
    ):
        with pytest.raises(NotSupportedError, match=r"update_or_create\(\) for each row"):
            shop.rows().bulk_create([shop.model()(sku="a")], **options)
    assert not shop.rows().exists()


class Counter:
    number = 0

    def __call__(self, execute: Any, *arguments: Any) -> Any:
        self.number += 1
        return execute(*arguments)


def test_rows_are_written_in_every_way(shop: Shop) -> None:
    made = shop.rows().bulk_create([shop.model()(sku=f"s{n}") for n in range(3)])
    assert [item.pk for item in made] == sorted(shop.rows().values_list("pk", flat=True))
    for item in made:
        item.stock = 9
    assert shop.rows().bulk_update(made, ["stock"]) == 3
    assert shop.rows().filter(stock=9).update(stock=F("stock") + 1) == 3
    assert shop.rows().get_or_create(sku="s1")[1] is False
    assert shop.rows().update_or_create(sku="s1", defaults={"color": "red"})[0].color == "red"
    assert shop.rows().update_or_create(sku="s9", defaults={"color": "red"})[1] is True
    with transaction.atomic(using=shop.site.alias):
        assert shop.rows().select_for_update().get(sku="s1").stock == 10
        assert shop.rows().filter(pk__in=[]).update(stock=0) == shop.rows().none().update(stock=0) == 0
    assert shop.rows().filter(sku="s0").delete() == (1, {"shop.Product": 1})
    assert shop.rows().filter(category__name="none").update(stock=1) == 0


def test_a_change_is_a_line_and_no_change_is_none(shop: Shop) -> None:
    with history_context(actor="alice", reason="stocktaking"):
        product = shop.rows().create(sku="a", color="red")
    begin = timezone.now()
    product.save()
    shop.rows().update(color="red", stock=0)
    assert product.history.filter(operation="update").count() == 0
    with transaction.atomic(using=shop.site.alias):
        shop.rows().update(color="blue")
        shop.rows().update(color=None, stock=2)
    shop.query("UPDATE products_entity SET data.color = 'green'")
    key = product.pk
    product.delete()
    product.pk = key
    changes = shop.log(product)
    assert [line[:3] for line in changes if line[3] == "update"] == [
        ("color", "red", "blue"),
        ("color", "blue", None),
        ("stock", 0, 2),
        ("color", None, "green"),
    ]
    inserted = product.history.filter(operation="insert")
    assert set(inserted.values_list("attribute", "actor", "reason")) >= {("color", "alice", "stocktaking")}
    assert ("color", "green", None, "delete") in changes
    times = list(product.history.values_list("at", flat=True))
    assert times == sorted(times)
    log = shop.rows("ProductAttribute")
    assert log.changed_between(begin, timezone.now()).count() == len(changes) - inserted.count()
    assert set(shop.model().history.using(shop.site.alias)) == set(log)


def test_times_do_not_run_backwards_where_the_clock_does(shop: Shop) -> None:
    product = shop.rows().create(sku="a")
    run_without_triggers(shop.site.alias, "UPDATE products_attribute SET at = '2999-01-01Z'")
    product.stock = 1
    product.save()
    shop.rows().all().delete()
    shop.query("INSERT INTO products (id, sku) VALUES (%s, 'b')", product.pk)
    times = dict(shop.query("SELECT operation, min(at) FROM products_attribute WHERE at > '2999-01-01Z' GROUP BY 1"))
    assert times["update"] < times["delete"] < times["insert"]
    assert shop.query("SELECT count(*) FROM products_attribute WHERE at < '2999-01-01Z'") == [(0,)]


def test_changes_are_in_order_however_they_came(shop: Shop) -> None:
    products = [shop.rows().create(sku=f"s{number}") for number in range(2)]
    for stock in (1, 2, 3):
        for product in reversed(products):
            shop.rows().filter(pk=product.pk).update(stock=stock)
    reverse_rows(shop.site.alias, "products_attribute")
    changes = shop.model().history.using(shop.site.alias).filter(operation="update")
    assert [(change.id, change.new_value) for change in changes] == [
        (product.pk, stock) for stock in (1, 2, 3) for product in reversed(products)
    ]
    stocks = [[change.new_value for change in product.history if change.operation == "update"] for product in products]
    assert stocks == [[1, 2, 3]] * 2


def test_a_period_of_changes_has_its_beginning_and_not_its_end(shop: Shop) -> None:
    product = shop.rows().create(sku="a")
    for stock in (1, 2):
        shop.rows().update(stock=stock)
    first, last = product.history.filter(operation="update")
    assert list(product.history.changed_between(first.at, last.at)) == [first]


def test_lines_about_a_key_are_counted_and_marked_when_another_product_takes_it(shop: Shop) -> None:
    shop.query("INSERT INTO products (id, sku, stock) VALUES (7, 'a', 3)")
    shop.query("UPDATE products SET stock = 2")
    shop.query("DELETE FROM products")
    shop.query("INSERT INTO products (id, sku) VALUES (7, 'b')")
    lines = shop.query("SELECT step, operation, former FROM products_attribute WHERE id = 7 ORDER BY step")
    assert [step for step, _, _ in lines] == list(range(1, len(lines) + 1))
    present = [operation for _, operation, former in lines if not former]
    assert set(present) == {"insert"}
    assert {operation for _, operation, former in lines if former} == {"insert", "update", "delete"}


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_who_does_not_see_the_lines_of_a_former_product_does_not_begin_at_the_first(shop: Shop, isolation: str) -> None:
    [[database]] = shop.query("SELECT current_database()")
    with administrator(database) as snapshot:
        snapshot.execute(f"BEGIN ISOLATION LEVEL {isolation}; SELECT FROM private.products")
        shop.query("INSERT INTO products (id, sku) VALUES (7, 'a')")
        shop.query("DELETE FROM products")
        with pytest.raises(psycopg.errors.UniqueViolation, match="products_attribute_step"):
            snapshot.execute("INSERT INTO private.products (id, sku) VALUES (7, 'b')")


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_who_does_not_see_them_does_not_begin_without_any_line_either(place: Shop, isolation: str) -> None:
    fields = {"text": models.TextField(null=True)}
    place.site.migrate(place.world.evolve(lambda apps: define(apps, "Note", "notes", PGCraftEAV, fields)))
    [[database]] = place.query("SELECT current_database()")
    with administrator(database) as snapshot:
        snapshot.execute(f"BEGIN ISOLATION LEVEL {isolation}; SELECT FROM private.notes")
        snapshot.execute("INSERT INTO private.notes (id) VALUES (6)")
        place.query("INSERT INTO notes (id, text) VALUES (7, 'a')")
        place.query("DELETE FROM notes")
        with pytest.raises(psycopg.errors.UniqueViolation, match="notes_attribute_step"):
            snapshot.execute("INSERT INTO private.notes (id) VALUES (7)")
    assert set(place.query("SELECT id FROM notes_attribute")) == {(7,)}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE products_attribute SET actor = 'x'",
        "UPDATE products_attribute SET former = true",
        "DELETE FROM products_attribute",
    ],
)
def test_nobody_edits_the_log(shop: Shop, statement: str) -> None:
    shop.rows().create(sku="a")
    with pytest.raises(IntegrityError, match="never changed or removed"):
        shop.query(statement)
    for table in ("products_attribute", "products_entity"):
        with pytest.raises(IntegrityError, match="TRUNCATE"):
            shop.query(f"TRUNCATE {table} CASCADE")


def test_what_refers_to_a_product_goes_with_it_or_keeps_it(shop: Shop) -> None:
    product = shop.rows().create(sku="a", category=shop.rows("Category").create(name="tools"))
    part = shop.rows().create(sku="b", parent=product)
    shop.rows("Line").create(product=product)
    assert shop.rows("Line").select_related("product__category").get().product.category.name == "tools"
    assert shop.rows().filter(lines__amount=1).get() == product
    for statement in ("DELETE FROM products WHERE sku = 'a'", "DELETE FROM categories"):
        with pytest.raises(IntegrityError, match="foreign key"):
            shop.query(statement)
    with pytest.raises(IntegrityError, match="lines_product_id_fk"):
        shop.query("INSERT INTO lines (product_id) VALUES (0)")
    shop.rows("Category").all().delete()
    assert shop.rows("Line").count() == 0
    part.refresh_from_db()
    assert (part.parent, shop.rows().count()) == (None, 1)


def offered(*names: str) -> list[str]:
    """Return those of `names` that this Django has."""
    return [name for name in names if hasattr(models, name)]


def declare_rule(apps: Any, rule: Any, **category: Any) -> None:
    """Define products of a category, and lines and notes about a product."""
    define(apps, "Category", "categories", PGCraftSimple, {})
    fields = {"category": models.ForeignKey("shop.Category", rule, null=True, **category)}
    define(apps, "Product", "products", PGCraftEAV, {**fields, "size": models.IntegerField(null=True)})
    for name, table, base in (("Line", "lines", PGCraftSimple), ("Note", "notes", PGCraftEAV)):
        define(apps, name, table, base, {"product": PGCraftForeignKey("shop.Product", rule, null=True)})


@pytest.mark.parametrize("rule", offered("CASCADE", "DB_CASCADE"))
def test_what_goes_with_what_it_refers_to_is_logged(place: Shop, rule: str) -> None:
    for asked in dict.fromkeys(("CASCADE", rule)):
        place.site.migrate(place.world.evolve(lambda apps, asked=asked: declare_rule(apps, getattr(models, asked))))
    tools = place.rows("Category").create()
    gone, kept = (place.rows().create(category=category, size=7) for category in (tools, None))
    for product in (gone, kept):
        place.rows("Line").create(product=product)
        place.rows("Note").create(product=product)
    key, category = gone.pk, tools.pk
    tools.delete()
    assert list(place.rows()) == [kept]
    for name in ("Line", "Note"):
        assert [row.product for row in place.rows(name)] == [kept]
    gone, note = (
        place.rows(name).filter(operation="delete").order_by("attribute").values_list("id", "attribute", "old_value")
        for name in ("ProductAttribute", "NoteAttribute")
    )
    assert list(gone) == [(key, "category_id", category), (key, "size", 7)]
    assert list(note) == [(1, "product_id", key)]


@pytest.mark.parametrize("rule", offered("SET_NULL", "DB_SET_NULL", "DB_SET_DEFAULT"))
def test_what_is_set_by_a_deletion_is_logged(place: Shop, rule: str) -> None:
    default = {"db_default": 1} if rule == "DB_SET_DEFAULT" else {}
    place.site.migrate(place.world.evolve(lambda apps: declare_rule(apps, getattr(models, rule), **default)))
    other, tools = (place.rows("Category").create() for _ in range(2))
    product = place.rows().create(category=tools)
    tools.delete()
    product.refresh_from_db()
    assert product.category == (other if default else None)
    assert place.log(product)[1:] == [("category_id", 2, product.category_id, "update")]
    note = place.rows("Note").create(product=product)
    product.delete()
    assert place.log(note)[1:] == [("product_id", 1, None, "update")]


def in_threads(shop: Shop, work: Any, times: int, threads: int = 8) -> list[Any]:
    def run(number: int) -> Any:
        try:
            return work(number)
        finally:
            connections[shop.site.alias].close()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(times)))


@contextmanager
def committed_by_hand(alias: str) -> Iterator[None]:
    transaction.set_autocommit(False, using=alias)
    yield
    transaction.commit(using=alias)


def test_of_200_concurrent_additions_none_is_lost(shop: Shop) -> None:
    key = shop.rows().create(sku="a").pk

    def add(number: int) -> None:
        with (nullcontext(), transaction.atomic(using=shop.site.alias), committed_by_hand(shop.site.alias))[number % 3]:
            shop.rows().filter(pk=key).update(stock=F("stock") + 1)

    in_threads(shop, add, 200)
    assert shop.rows().get(pk=key).stock == 200
    changes = shop.rows().get(pk=key).history.filter(attribute="stock", operation="update")
    values = list(changes.values_list("new_value"))
    assert values == [(number,) for number in range(1, 201)]


def test_saves_of_different_attributes_do_not_undo_each_other(shop: Shop) -> None:
    key = shop.rows().create(sku="a").pk
    for round_number in range(20):
        copies = [shop.rows().get(pk=key) for _ in range(2)]
        copies[0].color, copies[1].order = f"c{round_number}", f"o{round_number}"

        def save(number: int, copies: list[Any] = copies) -> None:
            copies[number].save(update_fields=[["color"], ["order"]][number])

        in_threads(shop, save, 2, 2)
        found = shop.rows().get(pk=key)
        assert (found.color, found.order) == (f"c{round_number}", f"o{round_number}")


def test_a_row_that_somebody_takes_out_of_what_is_deleted_stays(place: Shop) -> None:
    fields = {"stock": models.IntegerField()}
    place.site.migrate(place.world.evolve(lambda apps: define(apps, "Product", "products", PGCraftEAV, fields)))
    place.rows().bulk_create([place.model()(stock=stock) for stock in (0, 0, 1)])
    [[database]] = place.query("SELECT current_database()")

    def delete() -> Any:
        try:
            return place.rows().filter(stock=0).delete()[0]
        finally:
            connections[place.site.alias].close()

    with administrator(str(database)) as others, ThreadPoolExecutor(1) as pool:
        with others.transaction():
            others.execute("UPDATE private.products SET stock = 5 WHERE id = 1")
            deleted = pool.submit(delete)
            wait_until_blocked(deleted, str(database))
        assert deleted.result(30) == 1
    assert set(place.rows().values_list("id", "stock")) == {(1, 5), (3, 1)}


def test_those_who_change_the_same_rows_in_transactions_lock_them_in_one_order(shop: Shop) -> None:
    first, second = (shop.rows().create(sku=sku).pk for sku in ("a", "b"))
    reverse_rows(shop.site.alias, "products_entity")
    [[database]] = shop.query("SELECT current_database()")
    lock = "SELECT FROM private.products WHERE id = %s FOR UPDATE NOWAIT"

    def change() -> int:
        try:
            with transaction.atomic(using=shop.site.alias):
                changed: int = shop.rows().update(stock=5)
                return changed
        finally:
            connections[shop.site.alias].close()

    with administrator(str(database)) as others, ThreadPoolExecutor(1) as pool:
        with others.transaction():
            others.execute(lock, [first])
            changed = pool.submit(change)
            wait_until_blocked(changed, str(database))
            others.execute(lock, [second])
        assert changed.result(30) == 2


def test_raw_updates_that_would_undo_another_are_refused(shop: Shop) -> None:
    key = shop.rows().create(sku="a").pk

    def add(number: int) -> bool:
        try:
            shop.query("UPDATE products SET stock = stock + 1 WHERE id = %s", key)
        except OperationalError as error:
            return bool(error.__cause__.sqlstate != "40001")
        return True

    done = in_threads(shop, add, 100)
    assert shop.rows().get(pk=key).stock == done.count(True) > 0


def test_a_row_that_a_statement_finds_more_than_once_is_changed_once_or_refused_for_good(shop: Shop) -> None:
    """To do it again, as after `40001`, would not help."""
    product = shop.rows().create(sku="a")
    for amount in (5, 5, 7):
        shop.rows("Line").create(product=product, amount=amount)
    found = "UPDATE products SET stock = amount FROM lines WHERE product_id = products.id AND amount < %s"
    with transaction.atomic(using=shop.site.alias), transaction.atomic(using=shop.site.alias):
        assert shop.query(f"{found} RETURNING stock", 7) == [(5,)]
    assert [change[:3] for change in shop.log(product) if change[3] == "update"] == [("stock", 0, 5)]
    shop.rows().update(stock=0)
    twice = "WITH first AS (UPDATE products SET stock = 1) UPDATE products SET stock = 2"
    for statement in (found.replace("%s", "8"), twice):
        with pytest.raises(ProgrammingError, match="twice, to different values") as refused:
            shop.query(statement)
        assert refused.value.__cause__.sqlstate == "21000"  # type: ignore[union-attr]
    assert shop.rows().get().stock == 0
    one_each = "(VALUES ('b', 0), ('a', 3)) AS other (sku, stock)"
    shop.query(f"UPDATE products SET sku = other.sku, stock = other.stock FROM {one_each}")
    assert shop.rows().values_list("sku", "stock").get() == ("b", 3)


def test_fixtures_bring_the_rows_and_leave_the_next_key_free(shop: Shop) -> None:
    shop.rows().create(pk=50, sku="a", color="red", marks=["1.50"])
    fixture = [*shop.rows("ProductEntity"), *shop.rows("ProductAttribute"), *shop.rows()]
    before = shop.rows().values().get()
    shop.rows().all().delete()
    lines = shop.rows("ProductAttribute").count()
    for item in fixture:
        DeserializedObject(item).save(using=shop.site.alias)
    assert shop.rows().values().get() == before
    assert shop.rows("ProductAttribute").count() == lines + len(fixture) - 2
    assert shop.rows().create(sku="next").pk == 51
