"""What each factory adds to the ORM, with the rights of a request: `as_role()` lets through what the API would."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import ProgrammingError, transaction

import pgcraft_django
from pgcraft_django.api import API
from pgcraft_django.errors import IdempotencyConflict, TransitionConflict, TransitionError
from pgcraft_django.plugins import Balance
from tests.eav.catalogue import declare as declare_catalogue
from tests.ledger.stock import declare as declare_ledger
from tests.state_machine.orders import declare as declare_machine
from tests.support.world import Site, World, evolved

READING = API(grants={"webuser": ["select"]})
BOOKING = API(grants={"webuser": ["select", "insert"]})
CHANGING = API(grants={"webuser": "all"})


def declare(apps: Apps) -> None:
    balance = Balance(["warehouse", "sku"], 0, api=READING)
    declare_ledger(apps, api=BOOKING, idempotency=True, plugins=[balance])
    declare_ledger(apps, name="Parted", table="parted", api=BOOKING, idempotency=True, partition_by="month")
    declare_catalogue(apps, attribute_api=READING)
    declare_machine(
        apps, api=CHANGING, transition_api=READING, transition_grants={"webuser": ["confirmed", "cancelled"]}
    )


@dataclass
class Shop:
    """The models, as Django itself and as a request."""

    world: World
    site: Site

    def rows(self, name: str) -> Any:
        return self.world.apps.get_model("shop", name).objects.using(self.site.alias)

    def request(self, sub: str = "ann") -> AbstractContextManager[None]:
        return pgcraft_django.as_role("webuser", claims={"sub": sub}, using=self.site.alias)


@pytest.fixture(scope="module")
def made(django_db_blocker: Any) -> Iterator[Shop]:
    with django_db_blocker.unblock(), evolved(declare) as (world, site):
        yield Shop(world, site)


@pytest.fixture
def shop(made: Shop, unblocked: None) -> Shop:
    return made


@pytest.mark.parametrize("name", ["Inventory", "Parted"])
def test_entries_are_recorded_transferred_and_repeated(shop: Shop, name: str) -> None:
    rows = shop.rows(name)
    with shop.request():
        rows.record(warehouse="A", value=5)
        rows.transfer({"warehouse": "A"}, {"warehouse": "B"}, value=2)
        first = rows.record(warehouse="A", value=1, idempotency_key="k")
        assert rows.record(warehouse="A", value=1, idempotency_key="k") == first
        assert (first.created_at is not None, rows.balance(warehouse="A")) == (True, 4)
        assert (rows.balance(warehouse="A", sku=None), rows.balances().count()) == (4, 2)  # summed up, if not exposed
        rows.bulk_create([rows.model(warehouse="C", value=value) for value in (1, 2)])
        with pytest.raises(IdempotencyConflict), transaction.atomic(using=shop.site.alias):
            rows.record(warehouse="A", value=2, idempotency_key="k")
    assert rows.balance() == Decimal(9)


def test_attributes_are_updated_and_saved(shop: Shop) -> None:
    rows = shop.rows("Product")
    with shop.request():
        product = rows.create(sku="a", stock=1)
        rows.filter(pk=product.pk).update(stock=2)
        product.refresh_from_db()
        product.color = "red"
        product.save()
        rows.bulk_update([product], ["stock"])
        assert rows.values_list("stock", "color").get(pk=product.pk) == (2, "red")
        assert set(product.history.values_list("actor", flat=True)) == {"ann"}


def test_rows_are_led_on_as_the_api_would(shop: Shop) -> None:
    rows = shop.rows("Order")
    with shop.request():
        order = rows.create(total=5)
        assert order.state_machine.allowed() == ["confirmed", "cancelled"]
        assert rows.create(total=0).state_machine.allowed() == ["cancelled"]
        line = order.state_machine.transition("confirmed", reason="paid", tracking_code="x")
        assert (line.from_state, line.to_state, line.actor, line.reason) == ("pending", "confirmed", "ann", "paid")
        assert (line.tracking_code, order.state) == ("x", "confirmed")
        late, poor = rows.get(pk=order.pk), rows.create(total=0)
        late.state = "pending"
        for row, to, error in (
            (order, "shipped", ProgrammingError),
            (late, "cancelled", TransitionConflict),
            (poor, "confirmed", TransitionError),
        ):
            with pytest.raises(error), transaction.atomic(using=shop.site.alias):
                row.state_machine.transition(to)
    with shop.request():
        assert order.state_machine.allowed() == ["cancelled"]  # and not "shipped", which is not granted
    assert order.state_machine.allowed() == ["shipped", "cancelled"]
    order.state_machine.transition("shipped")
    assert [line.to_state for line in order.state_machine.history] == ["pending", "confirmed", "shipped"]
