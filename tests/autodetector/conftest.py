"""A project in a folder, for tests of the real commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from tests.support.databases import temporary_database
from tests.support.manage import ManagedProject, make_project


@pytest.fixture
def project(tmp_path: Path, unblocked: None) -> Iterator[ManagedProject]:
    """A project with one app and an empty database."""
    with temporary_database() as alias:
        yield make_project(tmp_path, connections[alias].settings_dict["NAME"])
