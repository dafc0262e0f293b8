"""An isolated project for each test."""

from collections.abc import Iterator

import pytest
from django.apps.registry import Apps
from django.db.migrations.state import AppConfigStub
from pytest_django import Settings

from pgcraft_django import registry


@pytest.fixture
def apps() -> Apps:
    """The apps `shop` and `library`, without models."""
    return Apps([AppConfigStub("shop"), AppConfigStub("library")])


@pytest.fixture(autouse=True)
def _project(settings: Settings) -> Iterator[None]:
    """Both apps have migrations; what a test registers is forgotten after it."""
    settings.MIGRATION_MODULES = {"shop": "tests.school.migrations", "library": "tests.school.migrations"}
    before = dict(registry._registrations)
    registry._registrations.clear()
    yield
    registry._registrations.clear()
    registry._registrations.update(before)
