"""What would go wrong, said in plain words before PostgREST is started.

Each check returns quietly or raises `ServerError`. Nothing is judged by the text of PostgreSQL's
messages, which speak the server's language: Django's own connection looks at the catalog instead.
"""

import errno
import os
import socket
from collections.abc import Sequence

import psycopg
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from pgcraft_django.errors import ServerError
from pgcraft_django.lifecycle.database import exists, maintenance_connection, reach
from pgcraft_django.lifecycle.roles import PASSWORD_VARIABLE
from pgcraft_django.messages import command
from pgcraft_django.postgrest.config import Address
from pgcraft_django.postgrest.login import Login

EVERY_ADDRESS = ("", "*", "*4", "!4", "*6", "!6")


def check_port(address: Address) -> int:
    """Return a port that is free on the host of `address`: its own, or any one for port 0.

    Raises `ServerError` when it is taken, not allowed, or the host is not this machine's.
    """
    host = None if address.host in EVERY_ADDRESS else address.host
    try:
        found = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ServerError(f"The host {address.host!r} is not known. Choose another with --host.") from None
    port = address.port
    for family, kind, protocol, _, place in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                if os.name == "posix":  # as PostgREST does, so that a server that just ended is no obstacle
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((place[0], port, *place[2:]))
                port = probe.getsockname()[1]
        except OSError as error:
            _explain_bind(error, address, alone=len(found) == 1)
    return port


def _explain_bind(error: OSError, address: Address, *, alone: bool) -> None:
    """Raise what the user should read. One of a name's several addresses may be missing here: `::1` often is."""
    if error.errno == errno.EADDRINUSE:
        raise ServerError(
            f"Port {address.port} on {address.host} is taken: is another server running? Stop it, or choose "
            "another port with --port."
        ) from None
    if error.errno == errno.EACCES:
        raise ServerError(
            f"Port {address.port} is not allowed to this user. Choose one above 1023 with --port."
        ) from None
    if alone:
        raise ServerError(
            f"{address.host} is not an address of this machine ({error.strerror}). Choose another with --host."
        ) from None


def check_database(using: str) -> None:
    """Check that Django itself reaches its database `using`."""
    connection = connections[using]
    try:
        reach(connection)
    except ServerError:
        if _is_missing(connection):
            name = connection.settings_dict["NAME"]
            line = command("pgcraft_init", using)
            raise ServerError(f'The database "{name}" does not exist. Run: {line}') from None
        raise


def _is_missing(connection: BaseDatabaseWrapper) -> bool:
    try:
        with maintenance_connection(connection) as beside:
            return not exists(beside, connection.settings_dict["NAME"])
    except DatabaseError:
        return False  # nobody to ask, which proves nothing


def unapplied_migrations(using: str) -> list[str]:
    """Return the names of the migrations that the database `using` does not have yet, in their order."""
    executor = MigrationExecutor(connections[using])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [str(migration) for migration, _ in plan]


def check_login(login: Login, using: str) -> Login:
    """Check that the authenticator can log in; return `login` with the host it was found on."""
    try:
        with login.connect() as live:
            return login.with_host_of(live)
    except psycopg.OperationalError as error:
        role = login.parameters["user"]
        said = f"PostgreSQL said: {str(error).strip()}"
        line = command("pgcraft_roles", using)
        if (may_log_in := _may_log_in(role, using)) is None:
            reason = f'The role "{role}" does not exist. Run: {line}'
        elif not may_log_in:
            reason = f'The role "{role}" may not log in. Run: {line}\n{said}'
        elif login.password:
            reason = (
                f'The role "{role}" cannot log in with the password in {PASSWORD_VARIABLE}. Correct it, or run '
                f"{line} to give the role this password.\n{said}"
            )
        else:
            reason = (
                f'The role "{role}" cannot log in without a password. Set the environment variable '
                f"{PASSWORD_VARIABLE} to the one that manage.py pgcraft_roles was run with.\n{said}"
            )
        raise ServerError(reason) from None


def _may_log_in(role: str, using: str) -> bool | None:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = %s", [role])
        row = cursor.fetchone()
    return None if row is None else bool(row[0])


def check_roles(authenticator: str, roles: Sequence[str], using: str) -> None:
    """Check that each request role exists and is granted to the authenticator."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT rolname FROM pg_catalog.pg_roles "
            "WHERE rolname = ANY (%s) AND pg_catalog.pg_has_role(%s::name, oid, 'MEMBER')",
            [list(roles), authenticator],
        )
        granted = {row[0] for row in cursor.fetchall()}
    if missing := [f'"{role}"' for role in roles if role not in granted]:
        raise ServerError(
            f'Request roles that do not exist or are not granted to "{authenticator}": {", ".join(missing)}. '
            f"Run: {command('pgcraft_roles', using)}"
        )


def check_schemas(schemas: Sequence[str], using: str) -> None:
    """Check that the schemas PostgREST is to expose exist."""
    there = existing_schemas(schemas, using)
    if missing := [f'"{name}"' for name in schemas if name not in there]:
        raise ServerError(
            f"The database has no schema {', '.join(missing)}. "
            f"Run: manage.py makemigrations, then: {command('migrate', using)}"
        )


def existing_schemas(schemas: Sequence[str], using: str) -> tuple[str, ...]:
    """Return those of `schemas` that exist: from 13 PostgREST refuses to start with another in its search path."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = ANY (%s)", [list(schemas)])
        there = {row[0] for row in cursor.fetchall()}
    return tuple(name for name in schemas if name in there)
