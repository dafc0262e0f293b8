"""The fixture `live_api`, which pytest finds by itself. It needs pytest-django.

    def test_strangers_see_nothing(live_api):
        assert live_api.client().get("/notes").json() == []

PostgREST is started once in a session, when a test first asks for it. Nothing else is imported before that.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pgcraft_django.testing import LiveAPI


@pytest.fixture(scope="session")
def _pgcraft_server(django_db_setup: None, django_db_blocker: Any) -> "Iterator[LiveAPI]":
    from pgcraft_django.testing import live_api

    with django_db_blocker.unblock(), live_api() as api:
        yield api


@pytest.fixture
def live_api(_pgcraft_server: "LiveAPI", transactional_db: None) -> "Iterator[LiveAPI]":
    """Serve the test database with PostgREST; the test's rows are committed, and removed after it."""
    with _pgcraft_server.signing():
        yield _pgcraft_server
