"""A database with the catalogue, one for each module of tests that asks for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.eav.catalogue import declare
from tests.support.databases import run_without_triggers
from tests.support.world import Site, World, evolved, new_site


@dataclass
class Shop:
    """The models, and the database that they are in."""

    world: World
    site: Site

    def model(self, name: str = "Product") -> Any:
        return self.world.apps.get_model("shop", name)

    def rows(self, name: str = "Product") -> Any:
        return self.model(name).objects.using(self.site.alias)

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.site.query(sql, parameters)

    def log(self, product: Any) -> list[tuple[Any, ...]]:
        """Return the changes of a product."""
        return list(product.history.values_list("attribute", "old_value", "new_value", "operation"))


@pytest.fixture(scope="module")
def _shop(django_db_blocker: Any) -> Iterator[Shop]:
    with django_db_blocker.unblock(), evolved(declare) as (world, site):
        yield Shop(world, site)


@pytest.fixture
def shop(_shop: Shop, unblocked: None) -> Iterator[Shop]:
    """The shop, without rows."""
    yield _shop
    tables = ("lines", "products_entity", "products_attribute", "categories")
    run_without_triggers(_shop.site.alias, *(f"DELETE FROM {table}" for table in tables))


@pytest.fixture
def place(unblocked: None) -> Iterator[Shop]:
    """An empty project, with a database of its own."""
    with new_site() as site:
        yield Shop(World(), site)
