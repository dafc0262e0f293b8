"""The machine follows its declaration, forwards and backwards, and rows and logs stay."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import IntegrityError, models

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftSimple, Transition
from tests.state_machine.orders import declare
from tests.support.catalog import differences
from tests.support.world import Site, World, new_site

OPEN: dict[str, Any] = {
    "api": API(grants={"anon": ["select"], "webuser": "all"}),
    "transition_api": API(grants={"webuser": ["select"]}),
    "transition_grants": {"webuser": "all"},
}
LONGER = {
    "pending": ["confirmed"],
    "confirmed": [Transition("shipped", guard=models.Q(total__gt=0) & ~models.Q(note=""))],
}


def plain(apps: Apps) -> None:
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "orders"})
    state = models.TextField(default="pending")
    type("Order", (PGCraftSimple,), {"__module__": __name__, "Meta": meta, "state": state})


def step(site: Site, to: str, *, key: int = 1) -> None:
    site.query("UPDATE orders SET state = %s WHERE id = %s", [to, key])


def test_each_change_is_found_and_can_be_taken_back(unblocked: None) -> None:
    """Each version is made of the one before and of nothing, with the same outcome; then all the way back."""
    versions = [
        {},
        OPEN,
        {**OPEN, "transitions": LONGER},
        {**OPEN, "transitions": LONGER, "transition_grants": {"webuser": ["shipped"], "anon": ["confirmed"]}},
        {
            **OPEN,
            "transition_fields": {"by": models.IntegerField(null=True), "tracking_code": models.TextField(null=True)},
        },
        {**OPEN, "transition_fields": {"tracking_code": models.CharField(max_length=99, null=True)}},
        {**OPEN, "transition_fields": {}},
        {**OPEN, "schema": "other", "transition_grants": {}},
    ]
    world = World()
    with new_site() as site:
        catalogs = [site.catalog()]
        steps = [0]
        for version in versions:
            made = world.evolve(lambda apps, version=version: declare(apps, **version))
            assert made
            site.migrate(made)
            fresh = World()
            fresh.evolve(lambda apps, version=version: declare(apps, **version))
            with new_site() as other:
                other.migrate(fresh.order)
                assert differences(site.catalog(), other.catalog()) == {}
            catalogs.append(site.catalog())
            steps.append(len(site.applied))
        for applied, catalog in reversed(list(zip(steps, catalogs, strict=True))):
            while len(site.applied) > applied:
                site.unmigrate()
            assert differences(site.catalog(), catalog) == {}


def test_a_plain_model_becomes_a_machine_where_it_stands(unblocked: None) -> None:
    world = World()
    with new_site() as site:
        site.migrate(world.evolve(plain))
        site.query("INSERT INTO orders (state) VALUES ('pending'), ('lost')")
        (before,) = site.query("SELECT relfilenode FROM pg_class WHERE oid = 'private.orders'::regclass")
        site.migrate(
            world.evolve(
                lambda apps: declare(apps, fields={"total": None, "note": None}, transitions={"pending": ["done"]})
            )
        )
        assert site.query("SELECT relfilenode FROM pg_class WHERE oid = 'private.orders'::regclass") == [before]
        step(site, "done")
        with pytest.raises(IntegrityError, match="orders 2 is lost, and cannot become pending"):
            step(site, "pending", key=2)
        assert site.query("SELECT id, from_state, to_state FROM orders_transition") == [(1, "pending", "done")]


def test_a_renamed_column_of_a_guard_is_followed(unblocked: None) -> None:
    world = World()
    with new_site() as site:
        site.migrate(world.evolve(lambda apps: declare(apps)))
        site.query("INSERT INTO orders (total) VALUES (5), (0)")
        ways = {"pending": [Transition("confirmed", guard=models.Q(amount__gt=0))], "confirmed": ["shipped"]}
        renamed = {"total": None, "amount": models.DecimalField(max_digits=12, decimal_places=2, default=0)}
        made = world.evolve(lambda apps: declare(apps, fields=renamed, transitions=ways))
        site.migrate(made)
        step(site, "confirmed")
        with pytest.raises(IntegrityError, match="orders 2 cannot become confirmed as it is"):
            step(site, "confirmed", key=2)
        site.unmigrate()
        with pytest.raises(IntegrityError, match="orders 2 cannot become confirmed as it is"):
            step(site, "confirmed", key=2)
        step(site, "cancelled")
        assert len(site.query("SELECT id FROM orders_transition WHERE id = 1")) == 3
