"""Fixtures that every folder of tests shares."""

from collections.abc import Iterator

import pytest

from tests.support.world import Site, World, new_site


@pytest.fixture
def world() -> World:
    """An empty project in memory."""
    return World()


@pytest.fixture
def unblocked(django_db_blocker: object) -> Iterator[None]:
    """Let a test use databases of its own, which pytest-django does not know."""
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        yield


@pytest.fixture
def site(unblocked: None) -> Iterator[Site]:
    """An empty database that migrations of a `world` can be applied to."""
    with new_site() as found:
        yield found
