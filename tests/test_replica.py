"""Reads go to a replica, writes to the primary, as a router says: also for what was read from a replica that lags."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import connections, models, transaction
from django.test.utils import CaptureQueriesContext

import pgcraft_django
from pgcraft_django.api import API
from pgcraft_django.attribution.acting import acting_role
from pgcraft_django.errors import RoleError
from pgcraft_django.models import PGCraftEAV
from tests.history.conftest import define
from tests.state_machine import orders
from tests.support.world import World, new_site


class ToReplica:
    """The router of Django's documentation for a primary and a replica."""

    primary = replica = ""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str:
        return self.replica

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str:
        return self.primary

    def allow_relation(self, *items: Any, **hints: Any) -> bool:
        return True


class NotForRequests(ToReplica):
    def db_for_read(self, model: type[models.Model], **hints: Any) -> str:
        return self.replica if acting_role(self.primary) is None else self.primary


def declare(apps: Apps) -> None:
    define(apps)
    orders.declare(apps)
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "products"})
    options = {"extra": True, "api": API(grants={"anon": "all"})}
    type(
        "Product",
        (PGCraftEAV,),
        {"__module__": __name__, "Meta": meta, "PGCraft": type("PGCraft", (), options)},
    )


@pytest.fixture
def apps(unblocked: None, settings: Any) -> Iterator[Apps]:
    """Models on a primary, and on a replica that tests fill as far as it has come."""
    world = World()
    with new_site() as primary, new_site() as replica:
        for site in (primary, replica):
            site.migrate(world.order or world.evolve(declare))
        ToReplica.primary, ToReplica.replica = primary.alias, replica.alias
        settings.DATABASE_ROUTERS = [f"{__name__}.ToReplica"]
        yield world.apps


def both(model: Any) -> list[Any]:
    return [model._base_manager.using(alias) for alias in (ToReplica.replica, ToReplica.primary)]


def test_a_version_from_a_replica_is_restored_on_the_primary(apps: Apps) -> None:
    student: Any = apps.get_model("shop", "Student")
    for rows in both(student):
        rows.create(name="Ann")
        rows.update(name="Bob")
    restored = student.history.get().restore()
    assert (restored._state.db, restored.name) == (ToReplica.primary, "Ann")
    assert [rows.get().name for rows in both(student)] == ["Bob", "Ann"]


def test_a_row_from_a_replica_is_led_on_and_judged_on_the_primary(apps: Apps) -> None:
    order: Any = apps.get_model("shop", "Order")
    for rows in both(order):
        rows.create(total=1)
    order._base_manager.get().state_machine.transition("confirmed")
    assert [rows.get().state for rows in both(order)] == ["pending", "confirmed"]
    late = order._base_manager.get()
    late.state = "shipped"
    late.full_clean()


def test_values_of_a_row_from_a_replica_are_those_that_the_primary_defines(apps: Apps) -> None:
    product: Any = apps.get_model("shop", "Product")
    for rows in both(product):
        rows.create()
    both(product.pgcraft_extra)[1].create(name="colour", type="text")
    found = product._base_manager.get()
    found.extra = {"colour": "red"}
    found.full_clean()


@pytest.mark.parametrize("reads_in_block", [False, True])
def test_rows_that_are_updated_are_locked_on_the_primary(apps: Apps, reads_in_block: bool) -> None:
    rows = apps.get_model("shop", "Product").objects
    primary, replica = (connections[alias] for alias in (ToReplica.primary, ToReplica.replica))
    block = transaction.atomic(using=replica.alias) if reads_in_block else nullcontext()
    with (
        transaction.atomic(using=primary.alias),
        block,
        CaptureQueriesContext(primary) as written,
        CaptureQueriesContext(replica) as read,
    ):
        rows.update(extra={})
    assert [bool("FOR NO KEY UPDATE" in query["sql"]) for query in written] == [True, False]
    assert not len(read)


def test_what_a_request_reads_from_a_replica_it_updates_or_creates_on_the_primary(apps: Apps) -> None:
    product: Any = apps.get_model("shop", "Product")
    with (
        pgcraft_django.as_role("anon", using=ToReplica.replica),
        pgcraft_django.as_role("anon", using=ToReplica.primary),
    ):
        product.objects.update_or_create(pk=7, defaults={"extra": {}})
    assert [rows.count() for rows in both(product)] == [0, 1]


def test_a_request_never_reads_from_a_replica_with_the_rights_of_django(apps: Apps, settings: Any) -> None:
    primary, replica = ToReplica.primary, ToReplica.replica
    begin = f'Begin with as_role\\(…, using="{replica}"\\)'
    with pytest.raises(RoleError, match=begin), pgcraft_django.as_role("anon", using=primary):
        pass
    assert acting_role(primary) is None
    with (
        pgcraft_django.as_role("anon", using=replica),
        pgcraft_django.as_role("anon", using=primary),
        connections[replica].cursor() as cursor,
    ):
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("anon",)
    settings.DATABASE_ROUTERS = [f"{__name__}.NotForRequests"]
    with pgcraft_django.as_role("anon", using=primary):
        assert apps.get_model("shop", "Student").objects.all().db == primary
