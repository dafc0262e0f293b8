"""Roles belong to the cluster: several databases make, grant and use the same ones at the same time."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Barrier

import psycopg
import pytest
from django.db import connections
from django.db.migrations.state import ProjectState

from pgcraft_django.objects import DatabaseObject, Role, RoleMembership, Schema, SchemaGrant
from pgcraft_django.operations import Create
from tests.settings import SERVER
from tests.support.catalog import read_catalog
from tests.support.databases import ADMINISTRATOR, administrator, run_sql, temporary_database

DATABASES, ROUNDS = 6, 10


@dataclass
class Shared:
    """Roles that no other test uses, and what a project does with them."""

    tag: str = field(default_factory=lambda: secrets.token_hex(4))

    def __post_init__(self) -> None:
        self.idle, self.role, self.member = (f"shared_{kind}_{self.tag}" for kind in ("idle", "role", "member"))
        self.stranger = f"stranger_{self.tag}"
        objects: list[DatabaseObject] = [
            Role(name=self.idle),
            Role(name=self.role),
            Role(name=self.member, login=True),
            RoleMembership(role=self.role, member=self.member),
            Schema(name="api"),
            SchemaGrant(schema="api", role=self.role),
        ]
        self.operation = Create(objects)

    def migrate(self, alias: str, *, backwards: bool = False) -> None:
        """Do what a migration does that makes all of it."""
        state = ProjectState()
        with connections[alias].schema_editor() as editor:
            move = self.operation.database_backwards if backwards else self.operation.database_forwards
            move("shop", editor, state, state)

    def existing(self) -> set[str]:
        with administrator() as connection:
            rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE %s", [f"%{self.tag}"])
            return {name for (name,) in rows}


@pytest.fixture
def shared(unblocked: None) -> Iterator[Shared]:
    shared = Shared()
    yield shared
    for name in (shared.idle, shared.role, shared.member, shared.stranger):
        run_sql(f"DROP ROLE IF EXISTS {name}")


def test_databases_of_one_cluster_go_forwards_and_backwards_at_once(shared: Shared) -> None:
    barrier = Barrier(DATABASES)

    def work(alias: str, begins_backwards: bool) -> None:
        """Go both ways, half of the databases in the one direction while the others go in the other one."""
        try:
            if begins_backwards:
                shared.migrate(alias)
            for number in range(2):
                barrier.wait(timeout=30)
                shared.migrate(alias, backwards=begins_backwards == (number == 0))
            if begins_backwards:
                shared.migrate(alias, backwards=True)
        finally:
            connections[alias].close()

    with ExitStack() as stack, ThreadPoolExecutor(DATABASES) as pool:
        aliases = [stack.enter_context(temporary_database(**ADMINISTRATOR)) for _ in range(DATABASES)]
        for _ in range(ROUNDS):
            list(pool.map(work, aliases, [False, True] * (DATABASES // 2)))
            roles = {shared.idle, shared.role, shared.member}
            assert shared.existing() == roles  # nothing that goes back takes them away
            run_sql(f"DROP ROLE {', '.join(roles)}")  # and nothing is left that holds them


def test_backwards_takes_no_role_away_that_is_used_elsewhere(shared: Shared) -> None:
    login = {"host": str(SERVER.socket_dir), "port": str(SERVER.port), "user": shared.member, "password": "known"}
    with temporary_database(**ADMINISTRATOR) as mine, temporary_database(**ADMINISTRATOR) as theirs:
        empty = read_catalog(connections[mine])
        for alias in (mine, theirs):
            shared.migrate(alias)
        run_sql(f"CREATE ROLE {shared.stranger}")
        run_sql(f"GRANT {shared.role} TO {shared.stranger}")
        run_sql(f"ALTER ROLE {shared.member} PASSWORD 'known'")
        with psycopg.connect(dbname=connections.settings[theirs]["NAME"], autocommit=True, **login) as session:
            before = read_catalog(connections[theirs])
            shared.migrate(mine, backwards=True)
            assert shared.existing() == {shared.idle, shared.role, shared.member, shared.stranger}
            assert read_catalog(connections[theirs]) == before
            assert before["schema privileges"]
            for name in (shared.member, shared.stranger):
                may = session.execute("SELECT pg_has_role(%s::name, %s::name, 'MEMBER')", [name, shared.role])
                assert may.fetchone() == (True,)
            session.execute(f"SET ROLE {shared.role}")
            assert session.execute("SELECT has_schema_privilege('api', 'USAGE')").fetchone() == (True,)
            assert read_catalog(connections[mine]) == empty
            shared.migrate(mine)
            assert read_catalog(connections[mine]) == before
