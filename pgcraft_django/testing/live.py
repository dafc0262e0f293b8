"""The test database, served: PostgREST on a free port of this machine, until the block ends.

PostgREST has connections of its own, so it sees what is committed: tests need `TransactionTestCase`, or
`@pytest.mark.django_db(transaction=True)`, as with Django's live server.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from unittest import mock

from django.db import DEFAULT_DB_ALIAS, connections
from django.test import TransactionTestCase

from pgcraft_django.conf import get_config
from pgcraft_django.lifecycle.roles import PASSWORD_VARIABLE, ensure_roles
from pgcraft_django.naming import quote_name
from pgcraft_django.postgrest import config, preflight
from pgcraft_django.postgrest.binary import detect_version, find_binary
from pgcraft_django.postgrest.login import Login, authenticator_login
from pgcraft_django.postgrest.server import Server
from pgcraft_django.postgrest.versions import for_version
from pgcraft_django.registry import api_schemas, table_schemas
from pgcraft_django.tokens import PRIVATE_KEY_VARIABLE, make_token

if TYPE_CHECKING:
    import httpx

SECRET_VARIABLE = "PGRST_JWT_SECRET"  # noqa: S105 - the name of the variable


@dataclass(frozen=True)
class LiveAPI:
    """An API that is up at `url`, and whose secret signs the tokens of this process meanwhile."""

    url: str
    secret: str = field(repr=False)

    def headers(self, role: str, **claims: Any) -> dict[str, str]:
        """Return the headers of a request as `role`, whose token says `claims`. Raises what `make_token` does."""
        return {"Authorization": f"Bearer {make_token(role, claims=claims)}"}

    def client(self, role: str | None = None, **claims: Any) -> "httpx.Client":
        """Return an httpx client of the API, as `role` with `claims`, or without a token. Close it, or use `with`."""
        import httpx

        return httpx.Client(base_url=self.url, headers=self.headers(role, **claims) if role else {})

    @contextmanager
    def signing(self) -> Iterator[None]:
        """Let every token of this process be signed with the API's secret, the project's own views included."""
        with mock.patch.dict(os.environ, {SECRET_VARIABLE: self.secret}):
            os.environ.pop(PRIVATE_KEY_VARIABLE, None)
            yield


@contextmanager
def live_api(*, using: str = DEFAULT_DB_ALIAS) -> Iterator[LiveAPI]:
    """Serve the database `using`, and sign this process's tokens with a secret that is made for it.

    PostgREST logs in as a role that is made for the block, if Django's database user may make roles, and else as the
    authenticator with the password in `PGRST_DB_PASSWORD`. Raises `ServerError` if the API cannot be served.
    """
    with (
        _authenticator(using) as login,
        serve(login, using, pre_request=config.pre_request(using)) as api,
        api.signing(),
    ):
        yield api


@contextmanager
def serve(login: Login, using: str, secret: str | None = None, pre_request: str | None = None) -> Iterator[LiveAPI]:
    """Serve the database `using` with PostgREST logging in by `login`; `secret` is its `jwt-secret`.

    `pre_request` is the function that judges tokens.
    """
    binary = find_binary()
    secret = secret or secrets.token_urlsafe(32)
    with mock.patch.dict(os.environ, {SECRET_VARIABLE: secret}):
        settings = config.collect(
            schemas=preflight.existing_schemas(api_schemas(), using),
            search_path=preflight.existing_schemas(config.schemas_behind(table_schemas()), using),
            pre_request=pre_request,
            host="127.0.0.1",
            port=preflight.check_port(config.Address("127.0.0.1", 0)),
            log_level="crit",
        )
    settings = for_version({**settings, "db-pool": 2}, detect_version(binary))
    with Server(binary, config.to_environment(settings, login), config.address_of(settings)) as server:
        server.wait_until_ready()
        yield LiveAPI(server.url, secret)


@contextmanager
def _authenticator(using: str) -> Iterator[Login]:
    """Yield a login of a role of this process's own: roles belong to the cluster, and tests may run side by side."""
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper OR rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = current_user")
        (may_make_roles,) = cursor.fetchone()
    declared = authenticator_login(using)
    if not may_make_roles:
        yield preflight.check_login(declared, using)
        return
    name, password = f"authenticator_{os.getpid()}_{secrets.token_hex(3)}", secrets.token_urlsafe()
    with mock.patch.dict(os.environ, {PASSWORD_VARIABLE: password}):
        ensure_roles(connection, replace(get_config(), authenticator_role=name))
    try:
        yield preflight.check_login(Login({**declared.parameters, "user": name}, password), using)
    finally:
        with connection.cursor() as cursor:
            database = quote_name(str(connection.settings_dict["NAME"]))
            cursor.execute(f"REVOKE ALL ON DATABASE {database} FROM {quote_name(name)}")
            cursor.execute(f"DROP ROLE {quote_name(name)}")


class LiveAPITestCase(TransactionTestCase):
    """A `TransactionTestCase` whose database is served: `self.api` is the `LiveAPI`."""

    api: LiveAPI

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.api = cls.enterClassContext(live_api())
