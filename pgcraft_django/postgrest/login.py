"""How PostgREST's authenticator logs in to Django's database."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.connection import ConnectionDoesNotExist
from psycopg.conninfo import make_conninfo

from pgcraft_django.conf import get_config
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.lifecycle.roles import PASSWORD_VARIABLE

NOT_CARRIED_OVER = {"user", "password", "client_encoding"}  # they are about Django's own sessions
SECRETS = {"password", "sslpassword"}
# Django's search_path is for Django; PostgREST sets its own.
SEARCH_PATH_OPTION = re.compile(r"(?:-c\s*|--)search_path=(?:\\.|[^\s\\])*\s*", re.DOTALL)


@dataclass(frozen=True, repr=False)
class Login:
    """How the authenticator reaches the database: libpq's parameters, and its password apart from them."""

    parameters: Mapping[str, str]
    password: str

    def __repr__(self) -> str:
        return f"Login({self.shown_uri!r})"  # tracebacks show it

    @property
    def uri(self) -> str:
        """The address, in libpq's form, for PostgREST's `db-uri`."""
        if "service" in self.parameters:
            # A password in the service file, Django's, would win over PGPASSWORD.
            return make_conninfo("", **self.parameters, password=self.password)
        return make_conninfo("", **self.parameters)

    @property
    def environment(self) -> dict[str, str]:
        """What libpq needs beside the address."""
        return {"PGPASSWORD": self.password} if self.password and "service" not in self.parameters else {}

    @property
    def shown_uri(self) -> str:
        """The address without any secret."""
        return make_conninfo("", **{k: v for k, v in self.parameters.items() if k not in SECRETS})

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        """Log in as PostgREST will. Raises `psycopg.OperationalError`."""
        # An explicit password, even an empty one, keeps Django's PGPASSWORD out; a password file still counts.
        parameters = {"connect_timeout": "10", **self.parameters, "password": self.password}
        return psycopg.connect("", autocommit=True, **parameters)  # type: ignore[arg-type]

    def with_host_of(self, live: "psycopg.Connection[tuple[object, ...]]") -> "Login":
        """Return this login with its socket directory named: PostgREST's libpq has another default."""
        if {"host", "hostaddr", "service"} & self.parameters.keys() or not live.info.host:
            return self
        return Login({**self.parameters, "host": live.info.host}, self.password)


def authenticator_login(using: str, environ: Mapping[str, str] = os.environ) -> Login:
    """Return how `AUTHENTICATOR_ROLE` reaches Django's database `using`; nothing is connected to.

    Host, port, name and libpq's own OPTIONS (TLS, service, timeouts ...) are Django's; the user is the
    authenticator, with the password in the environment variable `PGRST_DB_PASSWORD`.
    Raises `ConfigurationError` when there is no such database, or it is not PostgreSQL.
    """
    try:
        connection = connections[using]
    except ConnectionDoesNotExist:
        known = ", ".join(connections)
        raise ConfigurationError(f"There is no database {using!r} in DATABASES. There is: {known}.") from None
    if connection.vendor != "postgresql":
        raise ConfigurationError(
            f"The database {using!r} is {connection.display_name}; PostgREST serves PostgreSQL. "
            "Choose another with --database."
        )
    try:
        declared = connection.get_connection_params()
    except ImproperlyConfigured as error:
        raise ConfigurationError(f"The database {using!r}: {error}") from None
    known_to_libpq = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    parameters = {
        name: str(value)
        for name, value in declared.items()
        if name in known_to_libpq and name not in NOT_CARRIED_OVER and value not in (None, "")
    }
    if options := SEARCH_PATH_OPTION.sub("", parameters.pop("options", "")).strip():
        parameters["options"] = options
    parameters["user"] = get_config().authenticator_role
    return Login(parameters, environ.get(PASSWORD_VARIABLE, ""))
