"""Names and values of every kind: a model with them works in full, or a check refuses it."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.core.checks import ERROR
from django.db import connections, models, transaction
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from pgcraft_django.api import API
from pgcraft_django.checks.api import check_apis
from pgcraft_django.checks.models import check_models
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftLedger, PGCraftSimple, PGCraftStateMachine
from pgcraft_django.naming import quote_name
from pgcraft_django.plugins import Balance
from tests.support.world import Site, World, new_site

FACTORIES = [PGCraftSimple, PGCraftAppendOnly, PGCraftEAV, PGCraftLedger, PGCraftStateMachine]
HARD = [
    *(
        "order",
        "user",
        "select",
        "id",
        "value",
        "state",
        "version",
        "new",
        "old",
        "ctid",
        "oid",
        "excluded",
        "found",
        "tg_op",
        "kept",
    ),
    *("Größe", "a b", 'he said "hi"', "it's", "100%", "%s", "%(x)s", "a.b", "$$", "$1", "{0}", "\\", "a\nb", "-- x"),
    *("x" * 63, "x" * 64, "ä" * 31, "ä" * 32, "pg_x", "🐘", " ", "a,b(c)", "''", "/* x"),
]
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
names = st.one_of(st.sampled_from(HARD), st.sampled_from(["things", "thing", "Thing"]), texts)
EXAMPLES = int(os.environ.get("PGCRAFT_NAME_EXAMPLES", "12"))


def declare(apps: Apps, factory: type[models.Model], table: str, column: str, resource: str, word: str) -> None:
    """Define a model of the factory with these names, and `word` as its default, or the state that it begins in."""
    fields: dict[str, Any] = {"field": models.TextField(db_column=column, default=word)}
    options: dict[str, Any] = {"api": API(name=resource, grants={"webuser": "all"})}
    if factory is PGCraftLedger:
        options["plugins"] = [Balance(dimensions=["field"], minimum=0)]
        options["api"] = API(name=resource, grants={"webuser": ["select", "insert"]})
        options["record_grants"] = ["webuser"]
    if factory is PGCraftStateMachine:
        options |= {"state_field": "field", "transitions": {word: ["then"]}, "transition_grants": {"webuser": "all"}}
    if factory is PGCraftAppendOnly:
        options["history_api"] = API(grants={"webuser": ["select"]})
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": table})
    inner = type("PGCraft", (), options)
    type("Thing", (factory,), {"__module__": __name__, "Meta": meta, "PGCraft": inner, **fields})


def refusals(apps: Apps, alias: str) -> list[Any]:
    """Return the errors of our checks and of Django's."""
    ours = [*check_models(apps=apps), *check_apis(apps=apps)]
    found = [*ours, *(item for model in apps.get_models() for item in model.check(databases=[alias]))]
    return [item for item in found if item.level >= ERROR]


@pytest.fixture(scope="module")
def alias(django_db_blocker: Any) -> Iterator[str]:
    with django_db_blocker.unblock(), new_site() as site:
        yield site.alias


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__name__)
def test_any_name_works_or_is_refused_by_a_check(alias: str, factory: type[models.Model]) -> None:
    worked = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize="PGCRAFT_NAME_EXAMPLES" not in os.environ,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(table=names, column=names, resource=names, word=texts)
    @example(table='he said "hi"', column="order", resource="it's", word="100%")
    def attempt(table: str, column: str, resource: str, word: str) -> None:
        nonlocal worked
        world = World()
        world.declare(lambda apps: declare(apps, factory, table, column, resource, word))
        if found := refusals(world.apps, alias):
            assert all(item.hint or not item.id.startswith("pgcraft_django") for item in found)
            return
        with transaction.atomic(using=alias):
            site = Site(alias)
            empty = site.catalog()
            site.migrate(world.make())
            assert world.detect() == {}
            use(world.apps.get_model("shop", "Thing"), alias, column, resource, word)
            while site.applied:
                site.unmigrate()
            assert site.catalog() == empty
            transaction.set_rollback(True, using=alias)
        worked += 1

    attempt()
    assert worked


def use(model: Any, alias: str, column: str, resource: str, word: str) -> None:
    """Write and read a row by the ORM and by the API's view."""
    ledger = {"value": 3} if issubclass(model, PGCraftLedger) else {}
    made = model.objects.using(alias).create(**ledger)
    assert model.objects.using(alias).get(field=word).pk == made.pk
    with connections[alias].cursor() as cursor:
        cursor.execute("SET LOCAL ROLE webuser")
        cursor.execute(f"SELECT {quote_name(column)} FROM {quote_name('api', resource)}")
        assert cursor.fetchall() == [(word,)]
        cursor.execute("RESET ROLE")
