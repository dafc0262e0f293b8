"""Keys change their types: what refers to a row still does, whether a view is at its end of the reference or not."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import IntegrityError, ProgrammingError, models

from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftForeignKey, PGCraftSimple
from tests.eav.catalogue import OPEN, define
from tests.eav.conftest import Shop
from tests.support.catalog import Catalog, differences
from tests.support.world import Site, World, new_site

KEY_COLUMNS = """
    SELECT DISTINCT attrelid::regclass::text, attname, atttypid::regtype::text
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relkind IN ('r', 'v') AND (attrelid::regclass::text, attname) IN ({})
"""


def product() -> Any:
    return PGCraftForeignKey("shop.Product", models.CASCADE, null=True)


def catalogue(key: Any, /) -> Any:
    """Declare products with a key, and models of each kind, one of them in another app, that refer to them."""

    def declare(apps: Apps) -> None:
        fields = {"id": key, "name": models.TextField(null=True), "parent": product()}
        define(apps, "Product", "products", PGCraftEAV, fields, api=OPEN)
        define(apps, "Line", "lines", PGCraftSimple, {"product": product()}, api=OPEN)
        elsewhere = {"app_label": "library"}
        define(apps, "Review", "reviews", PGCraftAppendOnly, {"product": product()}, elsewhere, api=OPEN)
        define(apps, "Offer", "offers", PGCraftEAV, {"product": product(), "price": models.IntegerField()}, elsewhere)

    return declare


def suppliers(key: Any, /) -> Any:
    """Declare tables with a key, and with a foreign key as their key, that attributes refer to."""

    def declare(apps: Apps) -> None:
        define(apps, "Firm", "firms", PGCraftSimple, {"id": key, "name": models.TextField(null=True)})
        firm = models.OneToOneField("shop.Firm", models.CASCADE, primary_key=True)
        define(apps, "Supplier", "suppliers", models.Model, {"firm": firm})
        fields = {
            "maker": models.ForeignKey("shop.Firm", models.CASCADE, null=True, related_name="+"),
            "supplier": models.ForeignKey("shop.Supplier", models.CASCADE, null=True),
        }
        define(apps, "Product", "products", PGCraftEAV, fields, {"app_label": "library"}, api=OPEN)

    return declare


def types(place: Shop, *columns: str) -> set[Any]:
    """Return the types of columns, each `table.column`."""
    names = ", ".join(f"('{table}', '{column}')" for table, column in (item.split(".") for item in columns))
    found = place.query(KEY_COLUMNS.format(names))
    assert len(found) == len(columns)
    return {kind for *_, kind in found}


def catalog(site: Site) -> Catalog:
    """Return the catalog, without the index for LIKE that Django forgets where a foreign key becomes a text."""
    found = site.catalog()
    return {**found, "indexes": frozenset(row for row in found["indexes"] if "pattern_ops" not in str(row))}


def change(place: Shop, declare: Any, new: Any) -> None:
    """Change a key, and back and forth: catalogs are those of a database that is made at once."""
    before = catalog(place.site)
    made = place.world.evolve(declare(new))
    place.site.migrate(made)
    for _ in made:
        place.site.unmigrate()
    assert differences(catalog(place.site), before) == {}
    place.site.migrate(made)
    scratch = World()
    scratch.evolve(declare(new))
    with new_site() as other:
        other.migrate(scratch.order)
        assert differences(catalog(place.site), catalog(other)) == {}


REFERRING = [
    *("products_entity.parent_id", "products_attribute.id", "lines.product_id", "reviews.product_id"),
    *("reviews_history.product_id", "offers_entity.product_id", "products.id", "offers.product_id"),
]


@pytest.mark.parametrize(
    ("old", "new", "first", "kind"),
    [
        (models.AutoField(primary_key=True), models.BigAutoField(primary_key=True), "1", "bigint"),
        (models.TextField(primary_key=True), models.UUIDField(primary_key=True), f"{'0' * 31}1", "uuid"),
    ],
    ids=["bigger", "uuid"],
)
def test_what_refers_to_a_view_follows_its_key(place: Shop, old: Any, new: Any, first: str, kind: str) -> None:
    place.site.migrate(place.world.evolve(catalogue(old)))
    place.query("INSERT INTO products (id, name) VALUES (%s, 'a')", first)
    place.query("UPDATE products SET parent_id = id")
    for table in ("lines", "reviews", "offers"):
        extra = (", price", ", 7") if table == "offers" else ("", "")
        place.query(f"INSERT INTO {table} (product_id{extra[0]}) SELECT id{extra[1]} FROM products")
    place.query("UPDATE reviews SET product_id = NULL")

    change(place, catalogue, new)
    assert types(place, *REFERRING) == {kind}
    whole = "SELECT count(*) FROM products JOIN lines ON lines.product_id = products.id JOIN offers ON "
    assert place.query(f"{whole} offers.product_id = products.id WHERE parent_id = products.id") == [(1,)]
    [row] = place.rows().all()
    assert list(row.history.values_list("attribute", flat=True)) == ["name", "parent_id"]
    assert place.query("SELECT product_id::text FROM reviews_history") == [(str(row.pk),)]
    with pytest.raises(IntegrityError, match="lines_product_id_fk"):
        place.query("UPDATE lines SET product_id = %s", str(row.pk).replace("1", "2"))


def test_a_key_that_cannot_be_converted_stops_the_migration_as_with_a_table(place: Shop) -> None:
    place.site.migrate(place.world.evolve(catalogue(models.BigAutoField(primary_key=True))))
    made = place.world.evolve(catalogue(models.UUIDField(primary_key=True)))
    with pytest.raises(ProgrammingError, match="cannot cast type bigint to uuid"):
        place.site.migrate(made)


def test_attributes_follow_the_key_of_a_table(place: Shop) -> None:
    old, new = models.AutoField(primary_key=True), models.BigAutoField(primary_key=True)
    place.site.migrate(place.world.evolve(suppliers(old)))
    place.query("INSERT INTO firms (name) VALUES ('a')")
    place.query("INSERT INTO suppliers SELECT id FROM firms")
    place.query("INSERT INTO products (maker_id, supplier_id) VALUES (1, 1)")
    change(place, suppliers, new)
    columns = ("products_entity.maker_id", "products_entity.supplier_id", "suppliers.firm_id", "products.maker_id")
    assert types(place, *columns) == {"bigint"}
    assert place.query("SELECT maker_id, supplier_id FROM products") == [(1, 1)]


def test_a_foreign_key_of_attributes_may_be_unique(place: Shop) -> None:
    def declare(apps: Apps, *, unique: bool) -> None:
        define(apps, "Firm", "firms", PGCraftSimple, {"name": models.TextField(null=True)})
        define(apps, "Tool", "tools", PGCraftEAV, {"name": models.TextField(null=True)})
        one: Any = models.OneToOneField if unique else models.ForeignKey
        fields = {
            "firm": one("shop.Firm", models.CASCADE, null=True, related_name="+"),
            "other": PGCraftForeignKey("shop.Firm", models.CASCADE, null=True, unique=unique, related_name="+"),
            "tool": PGCraftForeignKey("shop.Tool", models.CASCADE, null=True, unique=unique, related_name="+"),
        }
        define(apps, "Product", "products", PGCraftEAV, fields)

    place.site.migrate(place.world.evolve(lambda apps: declare(apps, unique=True)))
    before = place.site.catalog()
    place.query("INSERT INTO firms VALUES (1)")
    place.query("INSERT INTO tools VALUES (1)")
    for column in ("firm_id", "other_id", "tool_id"):
        place.query(f"INSERT INTO products ({column}) VALUES (1)")
        with pytest.raises(IntegrityError, match=f'"products_entity_{column}'):
            place.query(f"INSERT INTO products ({column}) VALUES (1)")
    place.site.migrate(place.world.evolve(lambda apps: declare(apps, unique=False)))
    for column in ("firm_id", "other_id", "tool_id"):
        place.query(f"INSERT INTO products ({column}) VALUES (1)")
    place.query("DELETE FROM products")
    place.site.migrate(place.world.evolve(lambda apps: declare(apps, unique=True)))
    assert not differences(before, place.site.catalog())


ACTIONS = [getattr(models, name) for name in ("DB_CASCADE", "DB_SET_NULL", "DB_SET_DEFAULT") if hasattr(models, name)]
"""What Django leaves to the database, from 6.1 on. Before, there is nothing to leave to it."""


@pytest.mark.parametrize("base", [PGCraftSimple, PGCraftEAV, PGCraftAppendOnly])
def test_what_django_leaves_to_the_database_is_done_there(place: Shop, base: Any) -> None:
    def declare(apps: Apps) -> None:
        for name, kind in (("Firm", PGCraftSimple), ("Tool", PGCraftEAV)):
            define(apps, name, f"{name.lower()}s", kind, {"name": models.TextField(null=True)})
        fields = {
            f"{target}_{number}": PGCraftForeignKey(
                f"shop.{target.title()}",
                action,
                null=True,
                related_name="+",
                **({"db_default": 1} if action.__name__ == "DB_SET_DEFAULT" else {}),
            )
            for target in ("firm", "tool")
            for number, action in enumerate([models.DO_NOTHING, *ACTIONS])
        }
        define(apps, "Product", "products", base, fields)

    place.site.migrate(place.world.evolve(declare))
    products, unlinked = place.rows("Product"), {"firm_3": None, "tool_3": None} if ACTIONS else {}
    firsts = {target: place.rows(target.title()).create() for target in ("firm", "tool")}
    for target, first in firsts.items():
        for number, expected in enumerate(([], [None], [first.pk])[: len(ACTIONS)], 1):
            gone, column = place.rows(target.title()).create(), f"{target}_{number}_id"
            product = products.create(**{**unlinked, column: gone.pk})
            assert gone.delete()[0] == 1
            assert list(products.filter(pk=product.pk).values_list(column, flat=True)) == expected
    products.create(**unlinked, tool_0=firsts["tool"])
    with pytest.raises(IntegrityError, match="violates foreign key constraint"):
        firsts["tool"].delete()
