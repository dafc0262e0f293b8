"""`migrate` while others migrate, read, and are killed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from tests import settings as test_settings
from tests.support.databases import administrator, temporary_database
from tests.support.manage import MODELS, ManagedProject, make_project

ROUNDS = int(os.environ.get("PGCRAFT_MIGRATE_ROUNDS", "2"))
"""Of the tests with chance in them; more are run by hand."""

EDITED = MODELS.replace("    name = models.TextField()\n", "    name = models.CharField(max_length=50)\n")


@pytest.fixture
def project(tmp_path: Path, unblocked: None) -> Iterator[ManagedProject]:
    with temporary_database() as alias:
        connections[alias].close()
        project = make_project(tmp_path, connections.settings[alias]["NAME"])
        project.manage("makemigrations", "shop", "--verbosity", "0")
        yield project


def start(project: ManagedProject, *arguments: str) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=project.folder,
        env={**environment, "PYTHONPATH": str(test_settings.BASE_DIR)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_several_at_once_all_succeed(project: ManagedProject) -> None:
    for _ in range(ROUNDS):
        running = [start(project, "migrate") for _ in range(4)]
        said = [process.communicate(timeout=120)[0] for process in running]
        assert [process.returncode for process in running] == [0] * 4, said
        assert sum("Applying shop.0001_initial... OK" in text for text in said) == 1
        project.manage("migrate", "shop", "zero")


def test_readers_wait_for_no_migration_that_waits_for_a_reader(project: ManagedProject) -> None:
    project.manage("migrate")
    project.models(EDITED)
    project.manage("makemigrations", "shop", "--verbosity", "0")
    with administrator(project.database) as slow, administrator(project.database) as other:
        with slow.transaction():
            slow.execute("SELECT count(*) FROM api.people")
            migrating = start(project, "migrate")
            longest, deadline = 0.0, time.monotonic() + 4
            while time.monotonic() < deadline:
                began = time.monotonic()
                other.execute("SELECT count(*) FROM api.people")
                longest = max(longest, time.monotonic() - began)
                time.sleep(0.01)
            assert migrating.poll() is None, migrating.communicate()[0]
        said, _ = migrating.communicate(timeout=60)
    assert migrating.returncode == 0, said
    assert said.count("Applying shop.0002") == 1
    assert longest < 1
    assert "No changes" in project.manage("makemigrations", "--check")


def test_who_is_killed_leaves_a_database_that_can_go_on(project: ManagedProject) -> None:
    for number in range(ROUNDS * 2):
        process = start(project, "migrate")
        time.sleep(random.uniform(0.2, 1.2))
        if number % 2:
            process.send_signal(signal.SIGKILL)
        else:
            with administrator() as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [project.database]
                )
        process.communicate(timeout=60)
        project.manage("migrate")
        with administrator(project.database) as connection:
            assert connection.execute("SELECT count(*) FROM api.people").fetchall() == [(0,)]
        project.manage("migrate", "shop", "zero")
