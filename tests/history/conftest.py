"""A model with a history, on a database of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Length

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftAppendOnly, PGCraftSimple
from tests.support.world import Site, World, new_site


def define(
    apps: Apps,
    *,
    base: type[models.Model] = PGCraftAppendOnly,
    name: str = "Student",
    table: str = "students",
    **more: Any,
) -> type[models.Model]:
    """Define `School`, and `Student` with a field of each difficult kind."""
    if "school" not in apps.all_models["shop"]:
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "schools"})
        type("School", (PGCraftSimple,), {"__module__": __name__, "Meta": meta, "name": models.TextField()})
    options = {key: more.pop(key) for key in ("history_api", "api", "schema") if key in more}
    fields = {
        "name": models.TextField(),
        "school": models.ForeignKey("shop.School", models.SET_NULL, null=True, related_name="students"),
        "marks": ArrayField(models.DecimalField(max_digits=4, decimal_places=2), default=list),
        "data": models.JSONField(default=dict),
        "size": models.GeneratedField(expression=Length("name"), output_field=models.IntegerField(), db_persist=True),
        **more,
    }
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": table})
    attributes = {"__module__": __name__, "Meta": meta, "PGCraft": type("PGCraft", (), options)}
    return type(name, (base,), {**attributes, **{key: value for key, value in fields.items() if value is not None}})


@dataclass
class Place:
    """A world and its site."""

    world: World
    site: Site

    def evolve(self, declare: Callable[[Apps], Any], questioner: Any = None) -> list[Any]:
        made = self.world.evolve(declare, questioner)
        self.site.migrate(made)
        return made

    def model(self, name: str) -> Any:
        return self.world.apps.get_model("shop", name)

    def rows(self, name: str = "Student") -> Any:
        return self.model(name).objects.using(self.site.alias)

    def history(self) -> list[Any]:
        return list(self.model("Student").history.using(self.site.alias))

    def query(self, sql: str, parameters: Any = ()) -> Any:
        return self.site.query(sql, parameters)


@pytest.fixture
def place(unblocked: None) -> Iterator[Place]:
    with new_site() as site:
        yield Place(World(), site)


@pytest.fixture
def students(place: Place) -> Place:
    """The place with the model in it; its API lets `webuser` do all."""
    everything = API(grants={"webuser": "all"})
    place.evolve(lambda apps: define(apps, api=everything, history_api=API(grants={"webuser": "all"})))
    return place
