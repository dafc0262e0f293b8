"""Migrations and API with an ordinary owner of the database, who may not even create roles."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from pgcraft_django.conf import get_config
from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.objects import Role
from tests.api import rows
from tests.api.test_privileges import check_privileges
from tests.support.databases import new_alias, run_sql, temporary_database
from tests.support.served import Served, serve


@contextmanager
def ordinary_owner(alias: str) -> Iterator[str]:
    """Give the database `alias` to a new role; yield the alias that connects as this role."""
    name, password = f"owner_{os.getpid()}_{secrets.token_hex(3)}", secrets.token_urlsafe()
    settings = connections.settings[alias]
    role, database = quote_name(name), quote_name(settings["NAME"])
    run_sql(f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB PASSWORD {quote_text(password)}")
    run_sql(f"ALTER DATABASE {database} OWNER TO {role}")
    try:
        with new_alias(f"{alias}_as_owner", {**settings, "USER": name, "PASSWORD": password}) as mine:
            yield mine
    finally:
        run_sql(f"REASSIGN OWNED BY {role} TO CURRENT_USER", database=settings["NAME"])
        run_sql(f"DROP ROLE {role}")


@pytest.fixture(scope="module")
def owned_server(django_db_blocker: Any) -> Iterator[Served]:
    with ExitStack() as stack:
        with django_db_blocker.unblock():
            administrator = stack.enter_context(temporary_database())
            alias = stack.enter_context(ordinary_owner(administrator))
            for name in get_config().request_roles:
                for statement in Role(name=name).create_sql():
                    run_sql(statement)
            call_command("migrate", database=alias, verbosity=0)
            served = stack.enter_context(serve(alias))
            rows.prepare(served)
            rows.reset(served)
        yield served


def test_an_ordinary_owner_can_migrate(owned_server: Served, unblocked: None) -> None:
    ((superuser, may_create_roles),) = owned_server.execute(
        "SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    )
    assert (superuser, may_create_roles) == (False, False)
    check_privileges(owned_server.alias)


def test_the_api_of_an_ordinary_owner_works(owned_server: Served) -> None:
    anon, webuser = owned_server.anon, owned_server.webuser
    answer = anon.get("/students?select=name,users(name),courses(code)&id=eq.2")
    assert answer.json() == [{"name": "Ben", "users": {"name": "Alice"}, "courses": [{"code": "math"}]}]
    user = {"name": "Alicia", "email": "alice@school.example"}
    merge = {"Prefer": "return=representation, resolution=merge-duplicates"}
    assert webuser.post("/users?on_conflict=email", json=user, headers=merge).json() == [{"id": 1, **user}]
    assert webuser.delete("/courses?code=eq.math").status_code == 409
    assert webuser.delete("/teachers_assists").status_code == 204
    assert anon.post("/users", json=user).status_code == 401
    assert anon.get("/grades").status_code == 404
