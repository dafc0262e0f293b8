"""Columns that change their type, or get a comment: expressions over them are made anew."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models
from django.db.migrations import Migration
from django.db.models import Q
from django.db.models.functions import Upper

from pgcraft_django import registry
from pgcraft_django.api import API
from pgcraft_django.models import PGCraftLedger, PGCraftSimple
from pgcraft_django.plugins import Balance, DoubleEntry
from tests.support.world import Declare, Site, World, new_site


def define(
    apps: Apps,
    table: str,
    value: models.Field,
    *,
    base: type[models.Model] = PGCraftSimple,
    plugins: Any = (),
    **meta: Any,
) -> type[models.Model]:
    """Define a model with a value, and constraints and indexes on it."""
    options = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": table, **meta})
    own = {"PGCraft": type("PGCraft", (), {"plugins": list(plugins)})} if base is not models.Model else {}
    return type(
        table.title().replace(" ", ""), (base,), {"__module__": __name__, "Meta": options, "value": value, **own}
    )


Truly = Callable[..., list[Migration]]


@pytest.fixture
def truly(world: World, site: Site) -> Truly:
    """Go from one set of models to another and back and there again: all is as in a new database, and rows stay."""

    def go(before: Declare, after: Declare, *rows: str) -> list[Migration]:
        def contents() -> dict[str, Any]:
            return {
                table: site.query(f'SELECT * FROM "{table}" AS line ORDER BY line::text')
                for table in (model._meta.db_table for model in world.apps.get_models())
            }

        with new_site() as straight, new_site() as at_once:
            made = world.evolve(before)
            for place in (site, straight):
                place.migrate(made)
            for row in rows:
                site.query(row)
            first = contents()
            made = world.evolve(after)
            site.migrate(made)
            for _ in made:
                site.unmigrate()
            assert site.drift(straight) == []
            assert contents() == first
            site.migrate(made)
            straight.migrate(made)
            assert site.drift(straight) == []
            other = World()
            at_once.migrate(other.evolve(after))
            assert site.drift(at_once) == []
        return made

    return go


def whole(**options: Any) -> models.Field:
    return models.IntegerField(default=0, **options)


def exact() -> models.Field:
    return models.DecimalField(max_digits=8, decimal_places=2, default=0)


def code(length: int, **options: Any) -> models.Field:
    return models.CharField(max_length=length, default="a", **options)


def among(name: str) -> models.CheckConstraint:
    return models.CheckConstraint(condition=Q(value__in=["a", "b"]), name=name)


CHECKED = [models.CheckConstraint(condition=Q(value__gte=0) | ~Q(pk=3), name="not_negative")]

CHANGES: dict[str, tuple[models.Field, models.Field, dict[str, Any]]] = {
    "a check": (whole(), exact(), {"constraints": CHECKED}),
    "a check without a cast": (
        models.TextField(default="7"),
        models.IntegerField(default=7),
        {"constraints": [models.CheckConstraint(condition=~Q(value="8"), name="not_eight")]},
    ),
    "a list": (code(20), models.TextField(default="a"), {"constraints": [among("list")]}),
    "a longer text": (code(20), code(30), {"constraints": [among("longer")]}),
    "a collation": (code(20), code(20, db_collation="C"), {"constraints": [among("collated")]}),
    "a comment": (code(20), code(20, db_comment="One of two."), {"constraints": [among("commented")]}),
    "a key": (
        whole(),
        exact(),
        {"constraints": [models.UniqueConstraint(fields=["id"], condition=Q(value__gt=5), name="one_big")]},
    ),
    "a key of an expression": (
        code(20),
        models.TextField(default="a"),
        {"constraints": [models.UniqueConstraint(Upper("value"), "id", name="one_name")]},
    ),
    "a key alone": (code(20, unique=True), code(20), {}),
    "a check alone": (models.PositiveIntegerField(default=0), exact(), {}),
    "an index": (whole(), exact(), {"indexes": [models.Index(fields=["id"], condition=Q(value__gt=5), name="big")]}),
    "an index of an expression": (whole(), exact(), {"indexes": [models.Index(models.F("value") + 1, name="more")]}),
}


def test_expressions_over_a_column_follow_its_type_both_ways(truly: Truly) -> None:
    def declare(which: int) -> Declare:
        def define_all(apps: Apps) -> None:
            for table, (*fields, meta) in CHANGES.items():
                define(apps, table, fields[which], **meta)
            low, value = models.Q(value__gte=0), (whole, exact)[which]
            message = ["Too low.", "Far too low."][which]  # changes in the state alone
            checked = models.CheckConstraint(condition=low, name="with_message", violation_error_message=message)
            define(apps, "a message too", value(), constraints=[checked])
            checked = models.CheckConstraint(condition=low, name="registered")
            default = (models.CharField(max_length=20, db_default="7"), models.TextField(db_default="7"))[which]
            plain = define(apps, "a plain model", default, base=models.Model, constraints=[checked])
            registry.register(plain, api=API(), app_label="shop")
            define(apps, "target", (models.IntegerField, models.BigIntegerField)[which](unique=True, default=1))
            to_target = models.ForeignKey("shop.Target", models.CASCADE, to_field="value", default=1)
            checked = models.CheckConstraint(condition=Q(value__in=[1, 2]), name="referring")
            define(apps, "a reference", to_target, constraints=[checked])
            renamed = models.Index(fields=["id"], condition=Q(value__in=["a", "b"]), name=["short", "long"][which])
            define(apps, "an index with another name", CHANGES["a list"][which], indexes=[renamed])

        return define_all

    tables = [*CHANGES, "a message too", "a plain model", "target", "a reference", "an index with another name"]
    truly(declare(0), declare(1), *(f'INSERT INTO "{table}" DEFAULT VALUES' for table in tables))


def test_balances_and_debits_follow_the_type_of_a_ledgers_value(truly: Truly) -> None:
    def declare(value: models.Field) -> Declare:
        plugins = [DoubleEntry(), Balance(["direction"], minimum=-100), Balance([], minimum=Decimal(-200), name="all")]
        return lambda apps: define(apps, "things", value, base=PGCraftLedger, plugins=plugins)

    truly(
        declare(models.BigIntegerField()),
        declare(models.DecimalField(max_digits=12, decimal_places=2)),
        "INSERT INTO things (entry_id, value, direction) SELECT entry, 5, direction"
        " FROM (SELECT gen_random_uuid() AS entry) AS one, (VALUES ('debit'), ('credit')) AS legs (direction)",
    )


def changing(world: World, before: models.Field, after: models.Field) -> list[Migration]:
    """Return the migrations for another field under a check, beside an index that names the field alone."""
    meta = {"constraints": CHECKED, "indexes": [models.Index(fields=["value"], name="by_value")]}
    world.evolve(lambda apps: define(apps, "things", before, **meta))
    return world.evolve(lambda apps: define(apps, "things", after, **meta))


def test_nothing_is_made_anew_without_need(world: World) -> None:
    [made] = changing(world, whole(help_text="One."), whole(null=True, help_text="Some."))
    assert [type(item).__name__ for item in made.operations] == ["AlterField", "Replace"]


def test_the_migration_says_what_is_made_anew_and_is_named_after_what_changes(world: World) -> None:
    [made] = changing(world, whole(), exact())
    assert made.name == "0002_alter_things_value"
    assert [type(item).__name__ for item in made.operations] == [
        *("Drop", "RemoveConstraint", "AlterFieldType", "AddConstraint", "Create")
    ]


def test_a_check_that_changes_by_itself_still_gives_the_migration_its_name(world: World) -> None:
    def declare(least: int, role: str) -> Declare:
        def define_and_expose(apps: Apps) -> None:
            checked = models.CheckConstraint(condition=Q(value__gte=least), name="least")
            made = define(apps, "things", whole(), constraints=[checked])
            registry.register(made, api=API("more", grants={role: ["select"]}), app_label="shop")

        return define_and_expose

    world.evolve(declare(0, "anon"))
    [made] = world.evolve(declare(1, "webuser"))
    assert made.name == "0002_remove_things_least_things_least"
