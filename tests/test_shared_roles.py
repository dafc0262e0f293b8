"""Roles belong to the cluster: several databases make, grant and use the same ones at the same time."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

import pytest
from django.db import connections

from pgcraft_django.objects import Role, RoleMembership, Schema, SchemaGrant
from tests.support.databases import administrator, temporary_database

DATABASES, ROUNDS = 6, 10


@pytest.mark.usefixtures("unblocked")
def test_databases_of_one_cluster_make_the_same_roles_at_once() -> None:
    role, member = Role(name="pgcraft_shared_role"), Role(name="pgcraft_shared_member", login=True)
    objects = [
        role,
        member,
        RoleMembership(role=role.name, member=member.name),
        Schema(name="api"),
        SchemaGrant(schema="api", role=role.name),
    ]
    statements = [sql for item in objects for sql in item.create_sql()]
    undo = [sql for item in reversed(objects) for sql in item.drop_sql()]
    barrier = Barrier(DATABASES)

    def migrate(database: str) -> None:
        with administrator(database) as connection:
            barrier.wait(timeout=30)
            with connection.transaction():
                for statement in statements:
                    connection.execute(statement)

    with ExitStack() as stack, ThreadPoolExecutor(DATABASES) as pool:
        aliases = [stack.enter_context(temporary_database()) for _ in range(DATABASES)]
        names = [connections[alias].settings_dict["NAME"] for alias in aliases]
        for _ in range(ROUNDS):
            list(pool.map(migrate, names))
            for name in names:
                with administrator(name) as connection:
                    for statement in undo:
                        connection.execute(statement)
            with administrator() as connection:
                connection.execute("DROP ROLE pgcraft_shared_member, pgcraft_shared_role")
