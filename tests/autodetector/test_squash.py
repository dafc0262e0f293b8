"""A squashed history makes the same database, though it changes tables in the migration that makes them."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models
from django.db.migrations import Migration
from django.db.migrations.optimizer import MigrationOptimizer

from tests.autodetector.test_edits import define
from tests.support.catalog import differences
from tests.support.world import Declare, Site, World, new_site


def link(**options: Any) -> "models.ForeignKey[Any, Any]":
    return models.ForeignKey(**{"to": "shop.Book", "null": True, "on_delete": models.CASCADE, **options})


def history(step: dict[str, Any]) -> Declare:
    def declare(apps: Apps) -> None:
        define(apps, "Book", table="books")
        define(apps, "Shelf", table="shelves")
        define(apps, **step)

    return declare


@pytest.mark.parametrize(
    "steps",
    [
        ({"link": link()}, {"link": link(to="shop.Shelf")}),
        ({"link": link()}, {"link": link(db_constraint=False)}),
        ({"link": link()}, {"link": models.BigIntegerField(null=True, db_column="link_id")}),
        ({"link": models.ManyToManyField("shop.Book")}, {"link": models.ManyToManyField("shop.Shelf")}),
        ({"link": models.TextField(db_index=True)}, {"link": models.TextField()}),
        ({"link": models.TextField(), "meta": {"unique_together": {("id", "link")}}}, {"link": models.TextField()}),
        ({"link": models.TextField()}, {"link": models.TextField(), "schema": "other"}, {"link": link(), "api": None}),
    ],
    ids=["target", "constraint", "kind", "many-to-many", "index", "unique", "schema"],
)
def test_a_squashed_history_makes_the_same_database(world: World, site: Site, steps: tuple[dict[str, Any]]) -> None:
    empty = site.catalog()
    for step in steps:
        site.migrate(world.evolve(history(step)))
    squashed = Migration("0001_squashed", "shop")
    everything = [operation for migration in world.order for operation in migration.operations]
    squashed.operations = MigrationOptimizer().optimize(everything, "shop")
    with new_site() as other:
        other.migrate([world.read_back(squashed)])
        assert differences(site.catalog(), other.catalog()) == {}
        other.unmigrate()
        assert differences(other.catalog(), empty) == {}
