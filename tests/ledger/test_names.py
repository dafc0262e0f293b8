"""Fields of a ledger that are called like what its queries add."""

import datetime
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from pgcraft_django.plugins import Balance
from tests.ledger.conftest import Store
from tests.ledger.stock import declare
from tests.support.databases import run_without_triggers
from tests.support.world import World, new_site

NAMES = [
    *("period", "balance", "change", "changes", "entries", "total", "whole", "kept", "expected", "group_0"),
    *("there", "sum", "min", "max"),
]
OF_ROLLUPS = {"period", "change", "entries"}
ADDED = {
    "rollup": OF_ROLLUPS,
    "rollup_filled": OF_ROLLUPS | {"balance"},
    "rollup_pivoted": OF_ROLLUPS | {"balance"},
    "balances": {"balance"},
}
"""Method -> what its rows have beside the dimensions."""


def _declare(apps: Any) -> None:
    for name, plugins in (
        ("Inventory", [Balance(["period", "kept", "expected"]), Balance(["sum", "min"], name="total")]),
        ("Unkept", []),
    ):
        fields = {field: models.TextField(null=True) for field in NAMES}
        options = {"idempotency": True, "record_grants": ["webuser"]}
        declare(apps, name=name, table=name.lower(), fields=fields, plugins=plugins, **options)


@pytest.fixture(scope="module")
def shared(django_db_blocker: Any) -> Iterator[Store]:
    """A ledger with a balance and one without. Both have 5 with "p" in each field, and 3 with "q"."""
    world = World()
    with django_db_blocker.unblock(), new_site() as site:
        site.migrate(world.evolve(_declare))
        legs = [
            {"warehouse": "A", "value": value, **dict.fromkeys(NAMES, word)} for value, word in ((5, "p"), (3, "q"))
        ]
        for name in ("Inventory", "Unkept"):
            world.apps.get_model("shop", name).objects.using(site.alias).record(legs)
        yield Store(site, world)


@pytest.fixture
def store(shared: Store, unblocked: None) -> Iterator[Store]:
    with timezone.override(datetime.UTC):
        yield shared


def test_what_is_asked_by_other_fields_is_as_ever(store: Store) -> None:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    all_of_it = {"period": today, "change": 8, "entries": 2}
    assert list(store.entries.rollup("day")) == [all_of_it]
    assert list(store.entries.rollup("day", "warehouse").filter(period=today)) == [{**all_of_it, "warehouse": "A"}]
    assert store.entries.rollup_filled("day", "warehouse") == [{**all_of_it, "warehouse": "A", "balance": 8}]
    assert store.entries.rollup_pivoted("day", "warehouse") == [{"period": today, "changes": {"A": 8}}]
    assert list(store.entries.balances("warehouse")) == [{"warehouse": "A", "balance": 8}]
    assert store.entries.balance(warehouse="A") == store.entries.balance() == 8
    unkept = store.world.apps.get_model("shop", "Unkept").objects.using(store.site.alias)
    assert list(unkept.balances()) == [{"balance": 8}]
    assert [entry.running_balance for entry in unkept.running_balance()] == [5, 8]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ADDED)
def test_a_dimension_has_any_name_or_the_message_says_what_to_write(store: Store, method: str, name: str) -> None:
    asked: Any = [] if method == "balances" else ["day"]
    rows, dimension = store.entries, name
    if name in ADDED[method]:
        dimension = f"inventory_{name}"
        to_write = rf'annotate\({dimension}=F\("{name}"\)\) before, and "{dimension}" as the dimension'
        with pytest.raises(ValueError, match=to_write):
            list(getattr(rows, method)(*asked, name))
        rows = rows.annotate(**{dimension: F(name)})
    found = list(getattr(rows, method)(*asked, dimension))
    if method == "rollup_pivoted":
        assert found[0]["changes"] == {"p": 5, "q": 3}
    else:
        assert {row[dimension]: row["balance" if method == "balances" else "change"] for row in found} == {
            "p": 5,
            "q": 3,
        }


@pytest.mark.parametrize("name", NAMES)
def test_groups_are_found_by_any_name(store: Store, name: str) -> None:
    assert store.entries.balance(**{name: "p"}) == 5
    assert [entry.running_balance for entry in store.entries.running_balance(name)] == [5, 3]
    assert [entry.rolling_change for entry in store.entries.rolling(datetime.timedelta(1), name)] == [5, 3]
    assert [getattr(entry, name) for entry in store.entries.latest(per=[name])] == ["p", "q"]


def test_balances_of_any_name_are_verified(store: Store) -> None:
    assert store.entries.checkpoint() == []
    group = {"period": "r", "kept": "r", "expected": None}
    store.entries.record(**group, warehouse="A", value=2)
    assert store.entries.verify() == store.entries.verify(full=True) == []
    run_without_triggers(store.site.alias, "UPDATE inventory_balance SET balance = 3 WHERE period = 'r'")
    for full in (False, True):
        [difference] = store.entries.verify(full=full)
        assert (difference.group, difference.kept, difference.expected) == (group, 3, 2)
    run_without_triggers(store.site.alias, "DELETE FROM inventory WHERE period = 'r'")
    run_without_triggers(store.site.alias, "DELETE FROM inventory_balance WHERE period = 'r'")


def test_a_request_is_repeated_whatever_the_fields_are_called(store: Store) -> None:
    legs = [{"warehouse": "B", "value": value, **dict.fromkeys(NAMES, "r")} for value in (1, 2)]
    call = "SELECT id FROM api.inventory_record_legs(%s, 'a key')"
    with transaction.atomic(using=store.site.alias):
        booked = store.site.query(call, [json.dumps(legs)])
        assert (len(booked), store.site.query(call, [json.dumps(legs)])) == (2, booked)
        transaction.set_rollback(True, using=store.site.alias)
