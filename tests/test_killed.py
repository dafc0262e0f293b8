"""`migrate`, forwards and backwards, while its client or its server is killed with SIGKILL at random points.

The server is this module's own, and durable, as a server is by default. What has to be there afterwards: each
migration whole or not at all, every committed row, and a `migrate` that goes on.
"""

import logging
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connections

from pgcraft_django import embedded
from tests.settings import MAJOR
from tests.support.catalog import Catalog, read_catalog
from tests.support.databases import new_alias
from tests.support.manage import MODELS, ManagedProject, make_project
from tests.support.owner import owner_of_databases

logger = logging.getLogger(__name__)

ROUNDS = int(os.environ.get("PGCRAFT_MIGRATE_ROUNDS", "1"))
"""Of each kind of death, one backwards and the next forwards; more are run by hand."""

HISTORY = MODELS.replace("PGCraftSimple", "PGCraftAppendOnly")
LEDGER = f"""{HISTORY}
from pgcraft_django.models import PGCraftLedger
from pgcraft_django.plugins import Balance

class Entry(PGCraftLedger):
    account = models.TextField()
    person = models.ForeignKey(Person, models.PROTECT)

    class PGCraft:
        plugins = [Balance(dimensions=["account"], minimum=0)]
"""
VERSIONS = [MODELS, HISTORY, LEDGER]
FIRST, LAST = "0001_change", "0003_change"


@dataclass
class Place:
    """A project with three migrations, and a server that nobody else uses."""

    project: ManagedProject
    cluster: Path
    alias: str = "killed"
    longest: float = 0.0
    """Seconds that a `migrate` was seen to be in the database, within which others are killed."""

    def start(self) -> embedded.Server:
        """Start the server or, after a crash, wait until it answers."""
        return embedded.start(self.cluster, major=MAJOR)

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Let the alias lead to the database, as the superuser."""
        with new_alias(self.alias, {**connections.settings["default"], **self.start().database("shop")}):
            yield

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def catalog(self) -> Catalog:
        return read_catalog(connections[self.alias])

    def migrate(self, name: str) -> None:
        self.project.manage("migrate", "shop", name)

    def applied(self) -> str:
        """Return the last migration of the app."""
        return str(self.query("SELECT max(name) FROM django_migrations WHERE app = 'shop'")[0][0])

    def is_killed_on_the_way_to(self, name: str, kill: "Kill") -> bool:
        """Migrate to `name`, kill, and start what is down; tell whether the kill came before the end."""
        with self.migrating(name) as process:
            time.sleep(random.uniform(0, self.longest))
            kill(self, process.pid)
        self.start()
        while self.sessions():  # what a client has sent may still be done
            time.sleep(0.002)
        return process.returncode != 0

    def wait_for_own_end(self) -> None:
        """Wait until this process's own session has ended, as all do in a crash."""
        deadline = time.monotonic() + 10
        with suppress(OperationalError):
            while time.monotonic() < deadline:
                self.query("SELECT 1")
                time.sleep(0.002)
        connections[self.alias].close()

    @contextmanager
    def migrating(self, name: str) -> Iterator["subprocess.Popen[str]"]:
        """Begin the block when a `migrate` has come to the database, and end when it has ended."""
        with self.project.start("migrate", "shop", name) as process:
            while not self.sessions():
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.002)
            yield process
            process.communicate(timeout=60)

    def sessions(self) -> list[int]:
        """Return the process ids of all other sessions in the database."""
        rows = self.query("SELECT pid FROM pg_stat_activity WHERE datname = 'shop' AND pid <> pg_backend_pid()")
        return [pid for (pid,) in rows]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("killed")
    place = Place(make_project(folder / "project", "shop"), folder / "cluster")
    server = place.start()
    try:
        owner = owner_of_databases(server)
        with psycopg.connect(host=str(server.socket_dir), port=server.port, user="postgres", autocommit=True) as boss:
            boss.execute(f"CREATE DATABASE shop OWNER {owner.get('USER', 'postgres')}")
        place.project.settings(DATABASES={"default": {**server.database("shop"), **owner}})
        for source in VERSIONS:
            place.project.models(source)
            place.project.manage("makemigrations", "shop", "--name", "change")
        with django_db_blocker.unblock(), place.connected():
            yield place
    finally:
        embedded.stop(place.cluster)


@pytest.fixture(scope="module")
def undisturbed(place: Place) -> dict[str, Catalog]:
    """Return migration -> what the database is like with it; a row has been committed before the second one."""
    found = {}
    for name in ("0001_change", "0002_change", "0003_change"):
        with place.migrating(name):
            began = time.monotonic()
        place.longest = max(place.longest, time.monotonic() - began)
        assert place.applied() == name
        if not found:
            place.query("INSERT INTO private.people (name) VALUES ('Ann')")
        found[name] = place.catalog()
    return found


Kill = Callable[[Place, int], None]


def kill_client(place: Place, client: int) -> None:
    os.kill(client, signal.SIGKILL)


def kill_backend(place: Place, client: int) -> None:
    """The server process that works for the client; PostgreSQL then ends all others and recovers."""
    sessions = place.sessions()
    for pid in sessions:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if sessions:
        place.wait_for_own_end()


def kill_server(place: Place, client: int) -> None:
    """The first of the server's processes, without which the others end, too."""
    os.kill(int((place.cluster / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    place.wait_for_own_end()


@pytest.mark.parametrize("kill", [kill_client, kill_backend, kill_server])
def test_who_is_killed_leaves_a_database_that_can_go_on(
    place: Place, undisturbed: dict[str, Catalog], kill: Kill
) -> None:
    stood: Counter[str] = Counter()
    while stood.total() < ROUNDS:
        goal = FIRST if place.applied() == LAST else LAST
        if place.is_killed_on_the_way_to(goal, kill):
            stood[f"{goal} {place.applied()}"] += 1
            assert place.catalog() == undisturbed[place.applied()]
            place.migrate(goal)
        assert place.applied() == goal
        assert place.catalog() == undisturbed[goal]
        assert place.query("SELECT name FROM api.people") == [("Ann",)]
    logger.info("Goal and where it stood when %s struck: %s", kill.__name__, sorted(stood.items()))
