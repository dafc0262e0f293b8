"""Each edit a user makes to a model, and what `makemigrations` and `migrate` make of it."""

import pytest
from django.apps.registry import Apps
from django.db import models
from django.db.migrations import Migration

from pgcraft_django.models import PGCraftSimple
from tests.support.catalog import differences
from tests.support.world import Declare, Site, World, new_site

READ = {"anon": ["select"]}


def person(apps: Apps, *, label: str = "shop", name: str = "Person", table: str = "people", **attributes: object):
    """Define a model with the given fields; `pgcraft` is its inner class's content."""
    pgcraft = attributes.pop("pgcraft", {})
    meta = {"apps": apps, "app_label": label, "db_table": table, **attributes.pop("meta", {})}
    return type(
        name,
        (attributes.pop("base", PGCraftSimple),),
        {"__module__": __name__, "Meta": type("Meta", (), meta), "PGCraft": type("PGCraft", (), pgcraft), **attributes},
    )


def both(apps: Apps, **changes: object) -> None:
    person(apps, **{"name": models.TextField()} | changes)


@pytest.fixture
def start(world: World, site: Site) -> tuple[World, Site]:
    """A project with one model, migrated, with a row in it."""
    return world, site


def edited(world: World, site: Site, before: Declare, after: Declare, rows: str = "") -> list[Migration]:
    """Go from one set of models to another, and check all that must hold whatever the edit was."""
    site.migrate(world.evolve(before))
    first = site.catalog()
    if rows:
        site.query(rows)
    made = world.evolve(after)
    site.migrate(made)
    with new_site(("private", "other")) as other:
        other.migrate(world.order)
        assert differences(site.catalog(), other.catalog()) == {}
    for _ in made:
        site.unmigrate()
    assert differences(site.catalog(), first) == {}
    site.migrate(made)
    return made


def test_a_new_field_is_exposed_and_granted_like_the_others(world: World, site: Site) -> None:
    made = edited(
        world,
        site,
        lambda apps: person(apps, title=models.TextField()),
        lambda apps: person(apps, title=models.TextField(), age=models.IntegerField(null=True)),
        rows="INSERT INTO people (title) VALUES ('x')",
    )
    assert [migration.name for migration in made] == ["0002_person_age"]
    site.query("SET ROLE anon")
    assert site.query("SELECT title, age FROM api.people") == [("x", None)]
    site.query("RESET ROLE")
