"""One school for all tests of a worker: a database with committed rows, and its API."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.core.management import call_command

from tests.api import rows
from tests.support.databases import temporary_database
from tests.support.served import Served, serve


@pytest.fixture(scope="session")
def school_server(django_db_blocker: Any) -> Iterator[Served]:
    with ExitStack() as stack:
        with django_db_blocker.unblock():
            alias = stack.enter_context(temporary_database())
            call_command("migrate", database=alias, verbosity=0)
            served = stack.enter_context(serve(alias))
            rows.prepare(served)
        yield served


@pytest.fixture
def school(school_server: Served, unblocked: None) -> Served:
    """The school with its first rows, whatever tests did to them before."""
    rows.reset(school_server)
    return school_server
