"""`PGCraftAppendOnly`: what its history cannot take."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models

from pgcraft_django.models import PGCraftAppendOnly
from tests.checks.declare import expect, messages, model


def test_a_model_with_a_history_is_right(apps: Apps) -> None:
    model(apps, base=PGCraftAppendOnly, pgcraft={"history_api": None})
    assert messages(apps) == []


@pytest.mark.parametrize("name", ["actor", "reason", "operation", "valid_to", "version", "history_id"])
def test_names_that_the_history_needs_are_refused(apps: Apps, name: str) -> None:
    model(apps, base=PGCraftAppendOnly, **{name: models.TextField(null=True)})
    expect(messages(apps), "E061", f'person_{name} = …(db_column="person_{name}")')


@pytest.mark.parametrize("wrong", ["select", ["select"], {"webuser": "all"}])
def test_history_api_is_an_api(apps: Apps, wrong: Any) -> None:
    model(apps, base=PGCraftAppendOnly, pgcraft={"history_api": wrong})
    expect(messages(apps), "E062", "history_api = API(")
