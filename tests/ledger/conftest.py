"""An inventory on a database of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connections

from tests.ledger.stock import declare
from tests.support.world import Site, World, new_site


@dataclass
class Store:
    """The model, and the database that it is in."""

    site: Site
    world: World

    @property
    def model(self) -> Any:
        return self.world.apps.get_model("shop", "Inventory")

    @property
    def entries(self) -> Any:
        return self.model.objects.using(self.site.alias)

    @property
    def database(self) -> str:
        return str(connections[self.site.alias].settings_dict["NAME"])

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.site.query(sql, parameters)

    def add(self, value: object, warehouse: str = "A", sku: str | None = "x") -> None:
        self.query("INSERT INTO inventory (value, warehouse, sku) VALUES (%s, %s, %s)", value, warehouse, sku)

    def evolve(self, declare: Callable[[Any], Any]) -> list[Any]:
        made = self.world.evolve(declare)
        self.site.migrate(made)
        return made

    def balances(self) -> dict[tuple[Any, ...], Any]:
        rows = self.query("SELECT warehouse, sku, balance FROM inventory_balance")
        return {tuple(group): balance for *group, balance in rows}

    def sums(self) -> dict[tuple[Any, ...], Any]:
        rows = self.query("SELECT warehouse, sku, sum(value) FROM inventory GROUP BY warehouse, sku")
        return {tuple(group): balance for *group, balance in rows}


@contextmanager
def new_store(**options: Any) -> Iterator[Store]:
    world = World()
    with new_site() as site:
        site.migrate(world.evolve(lambda apps: declare(apps, **options)))
        yield Store(site, world)


@pytest.fixture
def store(unblocked: None) -> Iterator[Store]:
    with new_store() as found:
        yield found
