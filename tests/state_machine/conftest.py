"""A shop whose orders are a state machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.state_machine.orders import declare
from tests.support.world import Site, World, new_site


@dataclass
class Shop:
    """The model, its log, and the database that they are in."""

    site: Site
    world: World

    @property
    def order(self) -> Any:
        return self.world.apps.get_model("shop", "Order")

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.site.query(sql, parameters)

    def log(self, key: int = 1) -> list[tuple[Any, ...]]:
        """Return the steps of an order."""
        return self.query("SELECT from_state, to_state FROM orders_transition WHERE id = %s ORDER BY at", key)


@pytest.fixture
def shop(unblocked: None) -> Iterator[Shop]:
    world = World()
    with new_site() as site:
        site.migrate(world.evolve(lambda apps: declare(apps)))
        yield Shop(site, world)
