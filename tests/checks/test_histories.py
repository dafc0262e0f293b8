"""`PGCraftAppendOnly`: what its history cannot take."""

import copy
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models

from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftForeignKey
from tests.checks.declare import expect, messages, model


def test_a_model_with_a_history_is_right(apps: Apps) -> None:
    model(apps, base=PGCraftAppendOnly, pgcraft={"history_api": None})
    assert messages(apps) == []


@pytest.mark.parametrize("name", ["actor", "reason", "operation", "valid_to", "version", "history_id"])
def test_names_that_the_history_needs_are_refused(apps: Apps, name: str) -> None:
    model(apps, base=PGCraftAppendOnly, **{name: models.TextField(null=True)})
    expect(messages(apps), "E061", f"person_{name} = …")


@pytest.mark.parametrize("base", [PGCraftAppendOnly, PGCraftEAV])
@pytest.mark.parametrize("other", [models.TextField(), models.Manager(), property(lambda person: [])])
def test_the_name_of_the_history_is_refused_for_anything_else(apps: Apps, base: Any, other: Any) -> None:
    """It would be lost, or taken for the history, as that of django-simple-history: triggers would write into it."""
    model(apps, base=base, history=copy.copy(other))
    expect(messages(apps), "E061" if base is PGCraftAppendOnly else "E083", "Write person_history = …")


@pytest.mark.parametrize("base", [PGCraftAppendOnly, PGCraftEAV])
def test_the_name_of_the_history_is_refused_for_a_way_back(apps: Apps, base: Any) -> None:
    person = model(apps, base=base)
    model(apps, "Note", person=PGCraftForeignKey(person, models.CASCADE, related_name="history"))
    expect(messages(apps), "E061" if base is PGCraftAppendOnly else "E083", 'related_name="person_history"')


def test_columns_that_the_history_needs_are_refused(apps: Apps) -> None:
    model(apps, base=PGCraftAppendOnly, who=models.TextField(db_column="actor"))
    expect(messages(apps), "E061", 'who = …(db_column="person_actor")')


@pytest.mark.parametrize(
    "own", [{"valid_from": models.DateTimeField(null=True)}, {"version": models.IntegerField(default=1)}]
)
def test_a_field_of_the_kind_that_is_stamped_is_refused_too(apps: Apps, own: Any) -> None:
    """It would be overwritten with each change, whatever it meant until then."""
    model(apps, base=PGCraftAppendOnly, **own)
    expect(messages(apps), "E061", f"person_{next(iter(own))} = …")


def test_what_is_computed_when_it_is_read_is_refused(apps: Apps) -> None:
    """PostgreSQL has it as NULL in triggers, and NULL is what the history would say it was."""
    field = models.GeneratedField(expression=models.F("name"), output_field=models.TextField(), db_persist=False)
    model(apps, base=PGCraftAppendOnly, same=field)
    expect(messages(apps), "E063", "same = …(db_persist=True)")


@pytest.mark.parametrize("wrong", ["select", ["select"], {"webuser": "all"}])
def test_history_api_is_an_api(apps: Apps, wrong: Any) -> None:
    model(apps, base=PGCraftAppendOnly, pgcraft={"history_api": wrong})
    expect(messages(apps), "E062", "history_api = API(")
