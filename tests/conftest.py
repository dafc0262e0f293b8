"""Fixtures that every folder of tests shares."""

from collections.abc import Iterator

import pytest

from tests.support.world import Site, World, new_site


@pytest.fixture
def world() -> World:
    """An empty project in memory."""
    return World()


@pytest.fixture
def site(django_db_blocker: object) -> Iterator[Site]:
    """An empty database that migrations of a `world` can be applied to."""
    with django_db_blocker.unblock(), new_site() as found:  # type: ignore[attr-defined]
        yield found
