"""Attributes come, go, change their names and types: what happens to the rows, to their history, and to the table."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.postgres.fields import ArrayField
from django.db import DataError, IntegrityError, models
from django.db.migrations import RunPython
from django.db.migrations.operations.fields import AddField, FieldOperation
from django.db.migrations.optimizer import MigrationOptimizer
from django.db.migrations.questioner import MigrationQuestioner
from django.db.models.fields import NOT_PROVIDED

from pgcraft_django.attribute_operations import AddAttribute, AlterAttribute, AlterAttributeType
from pgcraft_django.errors import MigrationError
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftForeignKey, PGCraftSimple
from tests.eav.catalogue import OPEN, declare, define
from tests.eav.conftest import Shop
from tests.support.catalog import differences
from tests.support.world import World, new_site

RENAMED = MigrationQuestioner({"ask_initial": True, "ask_rename": True, "ask_rename_model": True})


def products(label: str = "Product", /, table: str = "products", base: Any = PGCraftEAV, **fields: Any) -> Any:
    """Declare one model with a name, and what else is given."""

    options = {"api": OPEN, **{key: fields.pop(key) for key in ("schema", "api") if key in fields}}

    def declare(apps: Apps) -> None:
        define(apps, label, table, base, {"name": models.TextField(null=True), **fields}, **options)

    return declare


def evolve(place: Shop, declare: Any, questioner: Any = None) -> Any:
    made = place.world.evolve(declare, questioner)
    place.site.migrate(made)
    return made


def rows_untouched(place: Shop) -> Any:
    return place.query("SELECT ctid, xmin, id FROM products_entity ORDER BY id")


def structure(place: Shop) -> Any:
    return place.query("""
        SELECT attname, atttypid::regtype::text FROM pg_attribute
        WHERE attrelid = 'products_entity'::regclass AND attnum > 0
    """)


def test_attributes_come_and_go_without_a_touch_of_the_table(place: Shop) -> None:
    evolve(place, products())
    place.query("INSERT INTO products (name) SELECT 'n' || g FROM generate_series(1, 3) g")
    before, table = rows_untouched(place), structure(place)
    evolve(place, products(color=models.TextField(null=True), weight=models.FloatField(null=True)))
    evolve(place, products(weight=models.FloatField(null=True)))
    evolve(place, products(mass=models.FloatField(null=True)), RENAMED)
    assert (rows_untouched(place), structure(place)) == (before, table)
    assert place.query("SELECT name, mass FROM products ORDER BY id") == [("n1", None), ("n2", None), ("n3", None)]


def test_an_attribute_does_not_come_back_with_values_of_a_former_one(place: Shop) -> None:
    evolve(place, products(color=models.TextField(null=True)))
    place.query("INSERT INTO products (color) VALUES ('red')")
    evolve(place, products())
    evolve(place, products(color=models.IntegerField(null=True)))
    assert place.query("SELECT color FROM products") == [(None,)]


def test_an_attribute_that_goes_comes_back_with_its_values(place: Shop) -> None:
    fields = {"size": models.IntegerField(default=2), "marks": ArrayField(models.IntegerField(), null=True)}
    evolve(place, products(**fields))
    place.query("INSERT INTO products (size, marks) VALUES (1, NULL), (DEFAULT, '{{1,NULL},{3,4}}'), (3, '{}')")
    place.query("UPDATE products SET size = 7, marks = NULL WHERE size = 3")
    before = place.query("SELECT id, name, size, marks FROM products ORDER BY id")
    evolve(place, products())
    place.query("INSERT INTO products (name) VALUES ('later')")
    place.site.unmigrate()
    assert place.query("SELECT id, name, size, marks FROM products ORDER BY id") == [*before, (4, "later", 2, None)]


def test_values_that_migrations_filled_in_or_converted_come_back_too(place: Shop) -> None:
    shown = "SELECT name, size, share, note::text FROM products ORDER BY id"
    note = models.JSONField(null=True)
    evolve(place, products())
    place.query("INSERT INTO products (name) VALUES ('filled in')")
    evolve(
        place, products(size=models.IntegerField(default=2), share=models.FloatField(null=True, default=1), note=note)
    )
    place.query(
        "INSERT INTO products (name, share, note) VALUES ('both null', NULL, 'null'), ('converted', 1.5, '[1]')"
    )
    evolve(
        place, products(size=models.IntegerField(default=9), share=models.IntegerField(null=True, default=5), note=note)
    )
    before = place.query(shown)
    assert before == [("filled in", 2, 1, None), ("both null", 2, None, "null"), ("converted", 2, 2, "[1]")]
    removed = evolve(place, products())
    place.query("INSERT INTO products (name) VALUES ('later')")
    place.site.unmigrate()
    assert place.query(shown) == [*before, ("later", 9, None, None)]
    log = place.query("SELECT count(*) FROM products_attribute")
    place.site.migrate(removed)
    place.site.unmigrate()
    assert place.query(shown) == [*before, ("later", 9, None, None)]
    assert place.query("SELECT count(*) - 1 FROM products_attribute") == log  # what the way back filled in


def test_a_rename_is_asked_once_and_keeps_values_and_history(place: Shop) -> None:
    evolve(place, products(color=models.TextField(null=True)))
    place.query("INSERT INTO products (color) VALUES ('red')")
    asked: list[Any] = []

    class Asking(MigrationQuestioner):
        def ask_rename(self, *arguments: Any) -> bool:
            asked.append(arguments[1:3])
            return True

    evolve(place, products(colour=models.TextField(null=True)), Asking({"ask_initial": True}))
    assert asked == [("color", "colour")]
    assert place.query("SELECT colour FROM products") == [("red",)]
    place.query("UPDATE products SET colour = 'blue'")
    assert place.query("SELECT attribute, new_value #>> '{}' FROM products_attribute ORDER BY log_id") == [
        ("colour", "red"),
        ("colour", "blue"),
    ]
    place.site.unmigrate()
    assert place.query("SELECT color FROM products") == [("blue",)]
    assert place.query("SELECT DISTINCT attribute FROM products_attribute") == [("color",)]


@pytest.mark.parametrize("column", [None, "parent_id"])
def test_a_foreign_key_that_gets_another_name_keeps_values_and_history(place: Shop, column: str | None) -> None:
    def reference(name: str, column: str | None = None) -> Any:
        return {name: PGCraftForeignKey("self", models.SET_NULL, null=True, related_name="parts", db_column=column)}

    evolve(place, products(**reference("parent")))
    place.query("INSERT INTO products (id, parent_id) VALUES (1, NULL), (2, 1)")
    before, catalog = rows_untouched(place), place.site.catalog()
    made = evolve(place, products(**reference("root", column)), RENAMED)
    assert (place.rows().get(root=1).pk, rows_untouched(place)) == (2, before)
    assert place.query("SELECT attribute, new_value FROM products_attribute") == [(column or "root_id", "1")]
    for _ in made:
        place.site.unmigrate()
    assert place.query("SELECT id, parent_id FROM products ORDER BY id") == [(1, None), (2, 1)]
    assert place.query("SELECT attribute FROM products_attribute") == [("parent_id",)]
    assert differences(place.site.catalog(), catalog) == {}


def test_an_attribute_is_renamed_with_the_model_and_its_table_or_while_that_moves(place: Shop) -> None:
    evolve(place, products(color=models.TextField(null=True)))
    place.query("INSERT INTO products (color) VALUES ('red')")
    before = place.site.catalog()
    evolve(place, products("Item", table="items", colour=models.TextField(null=True)), RENAMED)
    evolve(place, products("Item", table="items", schema="other", hue=models.TextField(null=True)), RENAMED)
    assert place.query("SELECT hue FROM items") == [("red",)]
    assert place.query("SELECT attribute FROM items_attribute") == [("hue",)]
    place.site.unmigrate()
    place.site.unmigrate()
    assert place.query("SELECT color FROM products") == [("red",)]
    assert place.query("SELECT attribute FROM products_attribute") == [("color",)]
    assert differences(place.site.catalog(), before) == {}


def test_no_entity_is_lost_on_the_way_to_other_attributes_and_back(place: Shop) -> None:
    evolve(place, products(color=models.TextField(null=True), size=models.TextField(null=True)))
    place.query("INSERT INTO products (name, color, size) VALUES ('a', 'red', '7'), ('b', NULL, NULL)")
    former = "SELECT id, name, color, size FROM products ORDER BY id"
    before = place.query(former)
    changed = [
        *evolve(place, products(colour=models.TextField(null=True), size=models.TextField(null=True)), RENAMED),
        *evolve(place, products(colour=models.TextField(null=True), size=models.IntegerField(null=True))),
        *evolve(place, products(size=models.IntegerField(null=True), stock=models.IntegerField(default=5))),
    ]
    later = "SELECT id, name, size, stock FROM products ORDER BY id"
    log = place.query("SELECT count(*) FROM products_attribute")
    for _ in range(2):
        assert place.query(later) == [(1, "a", 7, 5), (2, "b", None, 5)]
        for _ in changed:
            place.site.unmigrate()
        assert place.query(former) == before
        place.site.migrate(changed)
    assert place.query("SELECT count(*) FROM products_attribute") == log


@pytest.mark.parametrize(
    ("old", "new", "value", "converted"),
    [
        (models.TextField(null=True), models.IntegerField(null=True), "7", 7),
        (models.IntegerField(null=True), models.TextField(null=True), 7, "7"),
        (models.CharField(max_length=9, null=True), models.CharField(max_length=3, null=True), "abc", "abc"),
        (models.TextField(null=True), models.TextField(null=True, db_collation="C"), "ä", "ä"),
        (models.TextField(null=True), models.PositiveIntegerField(null=True, db_index=True), "7", 7),
        (models.TextField(null=True), models.SlugField(null=True), "a-b", "a-b"),
    ],
)
def test_another_type_converts_the_values_both_ways(
    place: Shop, old: Any, new: Any, value: Any, converted: Any
) -> None:
    evolve(place, products(it=old))
    place.query("INSERT INTO products (it) VALUES (%s), (NULL)", value)
    before = place.site.catalog()
    evolve(place, products(it=new))
    assert place.query("SELECT it FROM products ORDER BY it") == [(converted,), (None,)]
    place.site.unmigrate()
    assert place.query("SELECT it FROM products ORDER BY it") == [(value,), (None,)]
    assert differences(place.site.catalog(), before) == {}


def test_another_type_and_another_column_come_in_one_migration(place: Shop) -> None:
    """Both ways, with the values and the lines of the log; and all is as if it had been so from the beginning."""
    evolve(place, products(it=models.TextField(null=True)))
    place.query("INSERT INTO products (it) VALUES ('7'), (NULL)")
    before = place.site.catalog()
    made = evolve(place, products(it=models.IntegerField(db_column="Größe, order", default=3)))
    assert len(made) == 1
    assert place.query('SELECT id, "Größe, order" FROM products ORDER BY id') == [(1, 7), (2, 3)]
    assert list(place.rows().order_by("id").values_list("it", flat=True)) == [7, 3]
    assert place.query("SELECT attribute, new_value FROM products_attribute ORDER BY log_id") == [
        ("Größe, order", '"7"')
    ]
    scratch = World()
    scratch.evolve(products(it=models.IntegerField(db_column="Größe, order", default=3)))
    with new_site() as other:
        other.migrate(scratch.order)
        assert differences(place.site.catalog(), other.catalog()) == {}
    place.site.unmigrate()
    assert place.query("SELECT id, it FROM products ORDER BY id") == [(1, "7"), (2, "3")]
    assert place.query("SELECT DISTINCT attribute FROM products_attribute") == [("it",)]
    assert differences(place.site.catalog(), before) == {}


def test_rows_with_foreign_keys_are_converted_and_filled_in_more_than_once(place: Shop) -> None:
    """The checks of foreign keys, which wait for the end, must not be in the way of what else the migration alters."""

    def with_parent(**fields: Any) -> Any:
        return products(parent=PGCraftForeignKey("self", models.SET_NULL, null=True), **fields)

    texts = {"one": models.TextField(null=True), "two": models.TextField(null=True)}
    evolve(place, with_parent(**texts))
    place.query("INSERT INTO products (one, two) VALUES ('1', '2')")
    place.query("UPDATE products SET parent_id = id")
    numbers = {"one": models.IntegerField(default=0), "two": models.IntegerField(default=0)}
    made = evolve(place, with_parent(**numbers, three=models.IntegerField(default=3)))
    assert len(made) == 1
    assert place.query("SELECT parent_id, one, two, three FROM products") == [(1, 1, 2, 3)]
    place.site.unmigrate()
    assert place.query("SELECT parent_id, one, two FROM products") == [(1, "1", "2")]
    place.site.migrate(made)
    evolve(place, with_parent())
    place.site.unmigrate()
    assert place.query("SELECT parent_id, one, two, three FROM products") == [(1, 1, 2, 3)]


@pytest.mark.parametrize(("kind", "column"), [(models.IntegerField, "it"), (models.TextField, None)])
def test_an_attribute_becomes_a_foreign_key_with_its_values_and_back(place: Shop, kind: Any, column: Any) -> None:
    attribute = products(it=kind(null=True))
    key = products(it=PGCraftForeignKey("self", models.SET_NULL, null=True, related_name="+", db_column=column))
    evolve(place, attribute)
    place.query("INSERT INTO products (it) VALUES (%s), (NULL)", kind().to_python(2))
    values, before = place.query("SELECT id, it FROM products ORDER BY id"), place.site.catalog()
    made = evolve(place, key)
    assert place.query(f"SELECT id, {column or 'it_id'} FROM products ORDER BY id") == [(1, 2), (2, None)]
    assert place.query("SELECT attribute FROM products_attribute") == [(column or "it_id",)]
    for _ in made:
        place.site.unmigrate()
    assert place.query("SELECT id, it FROM products ORDER BY id") == values
    assert differences(place.site.catalog(), before) == {}
    place.site.migrate(made)
    evolve(place, attribute)
    assert place.query("SELECT id, it FROM products ORDER BY id") == values
    assert place.query("SELECT attribute FROM products_attribute") == [("it",)]
    assert differences(place.site.catalog(), before) == {}


def test_another_column_keeps_the_lines_of_the_log(place: Shop) -> None:
    """So that the attribute, if it goes, comes back with its values."""
    evolve(place, products(it=models.TextField(null=True)))
    place.query("INSERT INTO products (it) VALUES ('7')")
    evolve(place, products(it=models.TextField(null=True, db_column="that")))
    evolve(place, products())
    place.site.unmigrate()
    assert place.query("SELECT that FROM products") == [("7",)]
    place.site.unmigrate()
    assert place.query("SELECT it, attribute FROM products, products_attribute") == [("7", "it")]


def test_what_is_squashed_still_does_to_values_what_it_did(place: Shop) -> None:
    """Django would make an operation of its own, which knows nothing of attributes, of ours and one after it."""
    evolve(place, products(it=models.TextField(null=True)))
    steps: list[Any] = []
    for it in (models.IntegerField(null=True), models.IntegerField(default=4), models.IntegerField(default=5)):
        steps += place.world.evolve(products(it=it, stock=models.IntegerField(default=6, help_text=str(len(steps)))))
    fields = [item for step in steps for item in step.operations if isinstance(item, FieldOperation)]
    assert len(fields) > 4
    squashed = MigrationOptimizer().optimize(fields, "shop")
    assert {(type(item), item.model_name, item.name, item.field.default) for item in squashed} == {
        (AlterAttributeType, "productdocument", "it", NOT_PROVIDED),
        (AddField, "productdocument", "stock", NOT_PROVIDED),
        (AlterAttribute, "product", "it", 5),
        (AddAttribute, "product", "stock", 6),
    }


def test_a_value_that_is_too_long_for_its_new_type_stops_the_migration(place: Shop) -> None:
    evolve(place, products(it=models.TextField(null=True)))
    place.query("INSERT INTO products (it) VALUES ('abcd')")
    made = place.world.evolve(products(it=models.CharField(max_length=3, null=True)))
    with pytest.raises(DataError, match="too long"):
        place.site.migrate(made)


def test_a_default_is_filled_in_where_a_column_would_have_it(place: Shop) -> None:
    evolve(place, products(size=models.IntegerField(null=True)))
    place.query("INSERT INTO products (size) VALUES (1), (NULL)")
    fields = {"stock": models.IntegerField(default=5), "size": models.IntegerField(default=2)}
    fields |= {
        "made": models.DateTimeField(db_default=models.functions.Now()),
        "unit": models.TextField(db_default="kg"),
    }
    evolve(place, products(**fields))
    assert place.query("SELECT size, stock, made IS NOT NULL, unit FROM products ORDER BY size") == [
        (1, 5, True, "kg"),
        (2, 5, True, "kg"),
    ]
    with pytest.raises(IntegrityError, match='null value in column "size"'):
        place.query("UPDATE products SET size = NULL")


def test_a_foreign_key_with_a_default_comes_to_rows_that_are_there(place: Shop) -> None:
    def declare(apps: Apps, *, linked: bool) -> None:
        define(apps, "Shelf", "shelves", PGCraftSimple, {"name": models.TextField()})
        shelf = models.ForeignKey("shop.Shelf", models.SET_DEFAULT, default=1, related_name="+")
        define(
            apps, "Product", "products", PGCraftEAV, {"name": models.TextField(), "shelf": shelf if linked else None}
        )

    evolve(place, lambda apps: declare(apps, linked=False))
    place.query("INSERT INTO shelves (name) VALUES ('a')")
    place.query("INSERT INTO products (name) VALUES ('b')")
    evolve(place, lambda apps: declare(apps, linked=True))
    assert place.query("SELECT name, shelf_id FROM products") == [("b", 1)]


def test_what_breaks_a_new_rule_stops_the_migration(place: Shop) -> None:
    evolve(place, products())
    place.query("INSERT INTO products (name) VALUES ('a')")
    made = place.world.evolve(products(name=models.TextField(null=True, choices=[("b", "b")])))
    with pytest.raises(IntegrityError, match="products_name_choices"):
        place.site.migrate(made)


def test_tables_move_and_get_other_names_with_all_their_rows(place: Shop) -> None:
    evolve(place, products())
    before = place.site.catalog()
    place.query("INSERT INTO products (name) VALUES ('a')")
    evolve(place, products(table="Other goods", schema="other"))
    evolve(place, products("Item", table="Other goods", schema="other"), RENAMED)
    assert place.query('SELECT id, name FROM other."Other goods"') == [(1, "a")]
    assert place.query('SELECT count(*) FROM other."Other goods_attribute"') == [(1,)]
    place.query('INSERT INTO "Other goods" (name) VALUES (%s)', "b")
    place.site.unmigrate()
    place.site.unmigrate()
    assert place.query("SELECT id, name FROM products ORDER BY id") == [(1, "a"), (2, "b")]
    assert differences(place.site.catalog(), before) == {}


def test_the_log_stays_when_the_model_goes(place: Shop) -> None:
    evolve(place, products())
    place.query("INSERT INTO products (name) VALUES ('a')")
    evolve(place, lambda apps: None)
    assert place.query("SELECT new_value #>> '{}' FROM products_attribute") == [("a",)]
    assert place.query("SELECT to_regclass('products_entity'), to_regclass('products_document')") == [(None, None)]


def test_all_of_it_can_be_taken_back(place: Shop) -> None:
    evolve(place, declare)
    evolve(place, lambda apps: declare(apps, fields={"category": None, "parent": None, "sku": None}))
    for _ in place.world.order:
        place.site.unmigrate()
    with new_site() as empty:
        assert differences(place.site.catalog(), empty.catalog()) == {}


def test_data_migrations_see_the_fields(place: Shop) -> None:
    evolve(place, products(price=models.DecimalField(max_digits=8, decimal_places=3, null=True)))

    def fill(apps: Any, editor: Any) -> None:
        model = apps.get_model("shop", "Product")
        model.objects.using(editor.connection.alias).create(name="a", price="1.5")
        model.objects.using(editor.connection.alias).update(price=models.F("price") + 1)

    migration = type(place.world.order[0])("0002_fill", "shop")
    migration.operations = [RunPython(fill)]
    place.site.migrate([migration])
    assert [str(price) for (price,) in place.query("SELECT price FROM products")] == ["2.500"]


@pytest.mark.parametrize("base", [PGCraftSimple, PGCraftAppendOnly])
@pytest.mark.parametrize("forwards", [True, False])
def test_a_table_does_not_become_a_view_in_place(place: Shop, base: Any, forwards: bool) -> None:
    before, after = (base, PGCraftEAV) if forwards else (PGCraftEAV, base)
    evolve(place, products(base=before))
    with pytest.raises(MigrationError, match="cannot change between a table and a PGCraftEAV in place"):
        place.world.evolve(products(base=after))


def test_an_order_with_respect_to_another_comes_with_the_model_or_not_at_all(place: Shop) -> None:
    def pages(order: str | None) -> Any:
        def declare(apps: Apps) -> None:
            define(apps, "Folder", "folders", PGCraftSimple, {"name": models.TextField()})
            options = {"apps": apps, "app_label": "shop", "db_table": "pages", "order_with_respect_to": order}
            folder = models.ForeignKey("shop.Folder", models.CASCADE)
            type("Page", (PGCraftEAV,), {"__module__": __name__, "Meta": type("Meta", (), options), "folder": folder})

        return declare

    evolve(place, pages("folder"))
    folder = place.rows("Folder").create(name="a")
    first, second = (place.rows("Page").create(folder=folder).pk for _ in range(2))
    folder.set_page_order([second, first], using=place.site.alias)
    assert list(place.rows("Page").values_list("pk", flat=True)) == [second, first]
    evolve(place, pages(None))
    assert place.rows("Page").count() == 2
    with pytest.raises(MigrationError, match=r"^shop\.Page cannot be given order_with_respect_to"):
        place.world.evolve(pages("folder"))


def test_a_model_with_other_options_is_still_a_view(place: Shop) -> None:
    def leaflets(fields: dict[str, Any], **options: Any) -> Any:
        def declare(apps: Apps) -> None:
            meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "leaflets", **options})
            type("Leaflet", (PGCraftEAV,), {"__module__": __name__, "Meta": meta, **fields})

        return declare

    evolve(place, leaflets({"name": models.TextField(default="a")}))
    place.rows("Leaflet").create()
    evolve(place, leaflets({"name": models.TextField(default="a")}, ordering=["-id"], verbose_name="flyer"))
    evolve(place, leaflets({"title": models.TextField(default="a"), "size": models.IntegerField(null=True)}), RENAMED)
    assert place.rows("Leaflet").values_list("title", "size").get() == ("a", None)
    for _ in place.world.order[1:]:
        place.site.unmigrate()
    assert place.query("SELECT name FROM leaflets") == [("a",)]


def test_a_reference_to_a_plain_model_is_a_plain_foreign_key(place: Shop) -> None:
    def declare(apps: Apps) -> None:
        define(apps, "Shelf", "shelves", PGCraftSimple, {"name": models.TextField()})
        define(apps, "Box", "boxes", models.Model, {"shelf": PGCraftForeignKey("shop.Shelf", models.CASCADE)})

    evolve(place, declare)
    with pytest.raises(IntegrityError, match=r"boxes_shelf_id_.*_fk_shelves_id"):
        place.query("INSERT INTO boxes (shelf_id) VALUES (1)")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (models.UUIDField(primary_key=True), "00000000-0000-0000-0000-000000000007"),
        (models.TextField(primary_key=True), "a"),
    ],
)
def test_keys_of_other_types_work(place: Shop, key: Any, value: str) -> None:
    def declare(apps: Apps) -> None:
        define(apps, "Product", "products", PGCraftEAV, {"code": key, "name": models.TextField(null=True)}, api=OPEN)
        line = {"product": PGCraftForeignKey("shop.Product", models.CASCADE)}
        define(apps, "Line", "lines", PGCraftSimple, line)

    evolve(place, declare)
    product = place.rows().create(code=value, name="a")
    product.name = "b"
    product.save()
    assert str(place.rows("Line").create(product=product).product_id) == value
    assert list(product.history.values_list("old_value", "new_value")) == [(None, "a"), ("a", "b")]
