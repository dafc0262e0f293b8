"""A ledger follows its declaration, forwards and backwards, and no entry is lost."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import IntegrityError, connections, models
from django.db.migrations import AddField, Migration, RemoveField
from django.db.migrations.questioner import MigrationQuestioner

from pgcraft_django.api import API
from pgcraft_django.drift import comparing
from pgcraft_django.drift.reading import read_catalog
from pgcraft_django.models import PGCraftSimple
from pgcraft_django.operations import WithoutGuards
from pgcraft_django.plugins import Balance, DoubleEntry
from tests.eav.catalogue import define
from tests.ledger.conftest import Store, new_store
from tests.ledger.stock import KEPT, declare
from tests.support.catalog import differences
from tests.support.databases import run_sql
from tests.support.world import World, new_site

OPEN = API(grants={"anon": ["select"], "webuser": "all"})


def test_each_change_is_found_and_can_be_taken_back(unblocked: None) -> None:
    """Each version is made of the one before and of nothing, with the same outcome; then all the way back."""
    versions: list[dict[str, Any]] = [
        {"plugins": []},
        {"plugins": [KEPT]},
        {"plugins": [Balance(["warehouse"], 0, api=OPEN), Balance(["sku"], -5, name="by_sku")], "api": OPEN},
        {"plugins": [Balance(["sku", "warehouse"])], "fields": {"value": models.IntegerField()}},
        {"plugins": [KEPT], "schema": "other", "fields": {"sku": models.CharField(max_length=9, default="x")}},
    ]
    world = World()
    with new_site() as site:
        catalogs, steps = [site.catalog()], [0]
        for version in versions:
            made = world.evolve(lambda apps, version=version: declare(apps, **version))
            assert made
            site.migrate(made)
            site.query("INSERT INTO inventory (value, warehouse, sku) VALUES (2, 'A', 'x')")
            fresh = World()
            fresh.evolve(lambda apps, version=version: declare(apps, **version))
            with new_site() as other:
                other.migrate(fresh.order)
                assert differences(site.catalog(), other.catalog()) == {}
            catalogs.append(site.catalog())
            steps.append(len(site.applied))
        assert site.query("SELECT balance FROM inventory_balance") == [(10,)]
        for applied, catalog in reversed(list(zip(steps, catalogs, strict=True))):
            while len(site.applied) > applied:
                site.unmigrate()
            assert differences(site.catalog(), catalog) == {}


def test_a_balance_that_is_added_begins_with_what_is_there(unblocked: None) -> None:
    with new_store(plugins=[]) as store:
        store.add(5), store.add(-2), store.add(7, "B", None)
        made = store.evolve(lambda apps: declare(apps))
        assert store.balances() == store.sums() == {("A", "x"): 3, ("B", None): 7}
        store.add(1)
        for _ in made:
            store.site.unmigrate()
        assert store.query("SELECT count(*) FROM inventory") == [(4,)]


@pytest.mark.parametrize("partition_by", [None, "month"])
def test_no_entry_is_lost_on_the_way_to_plugins_and_back(unblocked: None, partition_by: str | None) -> None:
    rows = "SELECT id, entry_id, created_at, value, warehouse FROM inventory ORDER BY id"
    with new_store(plugins=[], partition_by=partition_by) as store:
        store.add(0), store.add(0, "B")
        made = store.evolve(lambda apps: declare(apps, plugins=[KEPT], idempotency=True, partition_by=partition_by))
        store.entries.record([{"warehouse": "A", "value": 4}, {"warehouse": "A", "value": -3}], idempotency_key="k")
        before = store.query(rows)
        for _ in range(2):
            for _ in made:
                store.site.unmigrate()
            assert store.query(rows) == before
            store.site.migrate(made)
            assert store.query(rows) == before
            assert store.entries.verify(full=True) == []


def test_a_minimum_that_is_broken_already_is_not_migrated_to(unblocked: None) -> None:
    with new_store(plugins=[]) as store:
        store.add(-2)
        with pytest.raises(IntegrityError, match="inventory_balance_minimum"):
            store.evolve(lambda apps: declare(apps))


def test_balances_by_foreign_keys_that_go_together_come_back(unblocked: None) -> None:
    """Django would remove their foreign keys first, and backwards find a unique constraint over none."""
    by_place = [Balance(["place"], name="by_place"), Balance(["place", "sku"], name="by_both")]

    def with_balances(apps: Apps, *plugins: Balance) -> None:
        define(apps, "Place", "places", PGCraftSimple, {"name": models.TextField()})
        place = models.ForeignKey("shop.Place", models.PROTECT)
        declare(apps, fields={"place": place}, plugins=[KEPT, *plugins])

    world = World()
    with new_site() as site:
        site.migrate(world.evolve(lambda apps: with_balances(apps, *by_place)))
        site.query("INSERT INTO places (name) VALUES ('p')")
        site.query("INSERT INTO inventory (value, warehouse, place_id) VALUES (5, 'A', 1)")
        before = site.catalog()
        site.migrate(world.evolve(with_balances))
        site.unmigrate()
        assert differences(site.catalog(), before) == {}
        assert site.query("SELECT place_id, sku, balance FROM inventory_by_both") == [(1, None, 5)]


def test_a_renamed_dimension_and_ledger_keep_their_balances(store: Store) -> None:
    renamed = MigrationQuestioner({"ask_rename": True, "ask_rename_model": True})
    store.add(5)
    kept = Balance(dimensions=["place", "sku"], minimum=0)
    for options in ({}, {"name": "Stock", "table": "stock", "schema": "other"}):
        store.site.migrate(
            store.world.evolve(
                lambda apps, options=options: declare(
                    apps, fields={"warehouse": None, "place": models.TextField()}, plugins=[kept], **options
                ),
                renamed,
            )
        )
    with pytest.raises(IntegrityError, match="place A, sku x in stock"):
        store.query("INSERT INTO stock (value, place, sku) VALUES (-6, 'A', 'x')")
    store.query("INSERT INTO stock (value, place, sku) VALUES (1, 'A', 'x')")
    assert store.query("SELECT place, balance FROM other.stock_balance") == [("A", 6)]


def test_a_ledger_that_is_declared_no_more_is_kept_and_goes_on(store: Store) -> None:
    store.add(5)
    store.evolve(lambda apps: None)
    store.add(-2)
    assert store.balances() == store.sums() == {("A", "x"): 3}
    with pytest.raises(IntegrityError, match="cannot fall below 0"):
        store.add(-4)
    with pytest.raises(IntegrityError, match="never changed or removed"):
        store.query("DELETE FROM inventory")


def test_a_plain_table_becomes_a_ledger_where_it_stands(unblocked: None) -> None:
    world = World()

    def plain(apps: Any) -> None:
        declare(apps, base=PGCraftSimple, plugins=[])

    with new_site() as site:
        site.migrate(world.evolve(plain))
        site.query("INSERT INTO inventory (value, warehouse) VALUES (3, 'A'), (4, 'A')")
        site.migrate(world.evolve(lambda apps: declare(apps)))
        assert site.query("SELECT balance FROM inventory_balance") == [(7,)]
        assert site.query("SELECT count(DISTINCT entry_id) FROM inventory") == [(2,)]


def test_foreign_keys_can_be_dimensions_and_names_anything(unblocked: None) -> None:
    def shop(apps: Any, table: str) -> None:
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "größe"})
        type("Place", (PGCraftSimple,), {"__module__": __name__, "Meta": meta})
        declare(
            apps,
            table=table,
            fields={
                "warehouse": models.ForeignKey("shop.Place", models.PROTECT, null=True),
                "order": models.IntegerField(default=1),
                "sku": models.TextField(db_column="Ärger & co"),
            },
            plugins=[Balance(["warehouse", "order", "sku"], 0)],
        )

    world = World()
    with new_site() as site:
        for table in ("Order Book", "select", "x" * 44):
            site.migrate(world.evolve(lambda apps, table=table: shop(apps, table)))
            site.query(f'INSERT INTO "{table}" (value, "Ärger & co", "order") VALUES (2, \'x\', 1)')
            with pytest.raises(IntegrityError, match="warehouse_id NULL, order 1, Ärger & co x in"):
                site.query(f'INSERT INTO "{table}" (value, "Ärger & co", "order") VALUES (-9, \'x\', 1)')
        for _ in world.order:
            site.unmigrate()


def correct(store: Store, sql: str, reverse_sql: str | None = None, *, atomic: bool = True) -> None:
    """Apply a migration written by hand."""
    written = Migration(f"{len(store.world.order) + 1:04}_correct", "shop")
    written.atomic = atomic
    written.operations = [WithoutGuards(["inventory"], sql, reverse_sql)]
    written.dependencies = [("shop", store.world.order[-1].name)]
    migration = store.world.read_back(written)
    store.world.graph.add_node(("shop", migration.name), migration)
    store.world.graph.add_dependency(migration, ("shop", migration.name), migration.dependencies[0])
    store.world.order.append(migration)
    store.site.migrate([migration])


@pytest.mark.parametrize("atomic", [True, False])
def test_a_migration_that_says_so_changes_entries_and_the_balances_follow(store: Store, atomic: bool) -> None:
    store.add(5), store.add(3), store.add(3, "B")
    catalog = store.site.catalog()
    correct(
        store,
        "UPDATE inventory SET value = 6 WHERE id = 1; DELETE FROM inventory WHERE warehouse = 'B'",
        "UPDATE inventory SET value = 5 WHERE id = 1",
        atomic=atomic,
    )
    assert store.balances() == store.sums() == {("A", "x"): 9}
    assert store.site.catalog() == catalog
    assert store.world.detect() == {}
    store.site.unmigrate()
    assert store.balances() == store.sums() == {("A", "x"): 8}
    with pytest.raises(IntegrityError, match="never changed or removed"):
        store.query("UPDATE inventory SET value = 6")


@pytest.mark.parametrize("atomic", [True, False])
def test_a_change_that_breaks_a_rule_leaves_all_as_it_was(store: Store, atomic: bool) -> None:
    store.add(5)
    with pytest.raises(IntegrityError, match="inventory_balance_minimum"):
        correct(store, "UPDATE inventory SET value = -1", atomic=atomic)
    assert store.balances() == store.sums() == {("A", "x"): 5}
    with pytest.raises(IntegrityError, match="never changed or removed"):
        store.query("DELETE FROM inventory")
    with pytest.raises(IntegrityError, match="never changed or removed"):
        correct(store, "TRUNCATE inventory", atomic=atomic)
    assert not WithoutGuards(["inventory"], "").reversible


def test_entries_get_no_default_but_by_a_migration_that_says_so(store: Store) -> None:
    store.add(5, sku=None)
    [made] = store.world.evolve(lambda apps: declare(apps, fields={"sku": models.TextField(default="y")}))
    with pytest.raises(IntegrityError, match=r"UPDATE of private\.inventory is refused") as refused:
        store.site.migrate([made])
    assert "WithoutGuards" in str(refused.value)
    made.operations.insert(0, WithoutGuards(["inventory"], "UPDATE inventory SET sku = 'y' WHERE sku IS NULL", ""))
    store.site.migrate([made])
    assert store.balances() == store.sums() == {("A", "y"): 5}
    store.site.unmigrate()
    assert store.balances() == store.sums() == {("A", "y"): 5}


def test_double_entry_comes_and_goes_without_a_change_of_balances(unblocked: None) -> None:
    """If the migrations say, as documented, that a value below 0 is a credit, and the other way round."""

    class Debit(MigrationQuestioner):
        def ask_not_null_addition(self, field_name: str, model_name: str) -> str:
            return "debit"

    signed = "UPDATE inventory SET value = -value WHERE direction = 'credit'"
    directed = "UPDATE inventory SET direction = 'credit', value = -value WHERE value < 0"
    single = [Balance(["warehouse", "sku"])]
    world = World()
    with new_site() as site:
        store = Store(site, world)
        site.migrate(world.evolve(lambda apps: declare(apps, plugins=single)))
        store.add(5), store.add(-5, "B"), store.add(9, "C"), store.add(-2, "C")
        kept = store.balances()
        [added] = world.evolve(lambda apps: declare(apps, plugins=[*single, DoubleEntry()]), Debit())
        place = next(at for at, item in enumerate(added.operations, 1) if isinstance(item, AddField))
        added.operations.insert(place, WithoutGuards(["inventory"], directed, signed))
        site.migrate([added])
        assert store.query("SELECT value, direction FROM inventory ORDER BY id") == [
            *((5, "debit"), (5, "credit"), (9, "debit"), (2, "credit"))
        ]
        assert store.balances() == kept
        [removed] = world.evolve(lambda apps: declare(apps, plugins=single))
        place = next(at for at, item in enumerate(removed.operations) if isinstance(item, RemoveField))
        removed.operations.insert(place, WithoutGuards(["inventory"], signed))
        site.migrate([removed])
        assert store.balances() == store.sums() == kept


@pytest.mark.parametrize("idempotency", [False, True], ids=["plain", "with keys"])
def test_a_column_that_comes_back_behind_the_others_changes_nothing_for_who_books(
    unblocked: None, idempotency: bool
) -> None:
    fields = {"shelf": models.TextField(null=True), "note": models.TextField(null=True)}
    options: dict[str, Any] = {"api": OPEN, "record_grants": ["webuser"], "idempotency": idempotency, "plugins": []}
    with new_store(fields=fields, **options) as store, new_site() as straight:
        straight.migrate(store.world.order)
        store.query("INSERT INTO inventory (value, warehouse, shelf, note) VALUES (5, 'A', 's', 'n')")
        del fields["shelf"]
        for _ in store.evolve(lambda apps: declare(apps, fields=fields, **options)):
            store.site.unmigrate()
        assert store.site.drift(straight) == []
        # What `pgcraft_drift` prints to mend a function is right here, too, though its columns have another order.
        run_sql(
            "CREATE OR REPLACE FUNCTION private.inventory_record(uuid, jsonb" + ", text" * idempotency + ")"
            " RETURNS SETOF private.inventory LANGUAGE sql"
            " BEGIN ATOMIC SELECT * FROM private.inventory WHERE false; END",
            database=store.database,
        )
        expected, found = (read_catalog(connections[site.alias], ["private"], []) for site in (straight, store.site))
        [tampered] = comparing.differences(expected, found)
        run_sql(str(tampered.repair), database=store.database)
        booked = "SELECT shelf, note FROM api.inventory_record(value => 1, warehouse => 'A', shelf => 's', note => 'n')"
        store.query("SET ROLE webuser")
        assert store.query(booked) == [("s", "n")]
        store.query("RESET ROLE")
        assert store.site.drift(straight) == []
