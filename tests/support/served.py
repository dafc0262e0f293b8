"""A database served by PostgREST."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import httpx
from django.db import connections

from pgcraft_django.conf import get_config
from pgcraft_django.lifecycle.roles import PASSWORD_VARIABLE, ensure_roles
from pgcraft_django.naming import quote_name
from pgcraft_django.postgrest.login import Login
from pgcraft_django.testing import live
from tests.support.databases import as_administrator, run_sql
from tests.support.tokens import make_token


@dataclass
class Served:
    """An API that is up: the database's alias in Django, and a client for each way to ask."""

    alias: str
    anon: httpx.Client
    webuser: httpx.Client
    secret: str

    def token(self, **claims: object) -> dict[str, str]:
        """Return the headers of a request that carries a token with `claims`."""
        return {"Authorization": f"Bearer {make_token(self.secret, **claims)}"}

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement as the owner of the database."""
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []


def repeated(send: Callable[[], httpx.Response]) -> httpx.Response:
    """Send a request until no serialization failure asks to repeat it: from 16 on, PostgREST does not by itself."""
    while (answer := send()).status_code == 500 and answer.json()["code"] == "40001":
        pass
    return answer


@contextmanager
def serve(alias: str, secret: str | None = None, pre_request: str | None = None) -> Iterator[Served]:
    """Serve the database `alias`."""
    with ExitStack() as stack:
        login = stack.enter_context(_authenticator(alias))
        api = stack.enter_context(live.serve(login, alias, secret, pre_request))
        anon, webuser = (stack.enter_context(httpx.Client(base_url=api.url)) for _ in range(2))
        served = Served(alias, anon, webuser, api.secret)
        webuser.headers.update(served.token(role="webuser"))
        yield served


@contextmanager
def _authenticator(alias: str) -> Iterator[Login]:
    """Make the roles; the authenticator is this process's own, because roles belong to the whole cluster."""
    name, password = f"authenticator_{os.getpid()}_{secrets.token_hex(3)}", secrets.token_urlsafe()
    with mock.patch.dict(os.environ, {PASSWORD_VARIABLE: password}), as_administrator(alias) as administrator:
        ensure_roles(connections[administrator], replace(get_config(), authenticator_role=name))
    settings = connections.settings[alias]
    parameters = {"host": settings["HOST"], "port": str(settings["PORT"]), "dbname": settings["NAME"], "user": name}
    try:
        yield Login(parameters, password)
    finally:
        run_sql(f"DROP OWNED BY {quote_name(name)}", database=settings["NAME"])
        run_sql(f"DROP ROLE {quote_name(name)}")
