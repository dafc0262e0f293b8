"""A whole database: reach it, create it, replace it by an empty one, and say in plain words why not.

What cannot be said from inside a database is said from the maintenance database beside it (`postgres` or
`template1`), with the same credentials.
"""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from django.db import DatabaseError, connections
from django.db.backends.base.base import NO_DB_ALIAS, BaseDatabaseWrapper

from pgcraft_django.diagnosis import DUPLICATE_DATABASE, UNIQUE_VIOLATION, server_words, sqlstate
from pgcraft_django.errors import ConfigurationError, ServerError
from pgcraft_django.messages import command
from pgcraft_django.naming import MAX_BYTES, quote_name

MAINTENANCE = ("postgres", "template1")
RESERVED = (*MAINTENANCE, "template0")


def postgresql_connection(alias: str) -> BaseDatabaseWrapper:
    """Return Django's connection `alias`.

    Raises `ConfigurationError` if it is not PostgreSQL or names no database.
    """
    connection = connections[alias]
    if connection.vendor != "postgresql":
        raise ConfigurationError(
            f"DATABASES[{alias!r}] is not PostgreSQL but {connection.vendor!r}; this command needs PostgreSQL."
        )
    if not connection.settings_dict["NAME"]:
        raise ConfigurationError(f"DATABASES[{alias!r}] has no NAME: say which database is meant.")
    return connection


@contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """Turn the database errors of the body into a `ServerError`: what was being done, and the server's words."""
    try:
        yield
    except DatabaseError as error:
        raise ServerError(f"{doing} failed: {server_words(error)}") from error


def reach(connection: BaseDatabaseWrapper) -> None:
    """Connect, or raise a `ServerError` that says which database was meant and where it was looked for."""
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        raise _unreachable(connection, error) from error


def _unreachable(connection: BaseDatabaseWrapper, error: DatabaseError) -> ServerError:
    settings = connection.settings_dict
    user = f" as user {settings['USER']!r}" if settings["USER"] else ""
    place = f" on {settings['HOST']}" + (f", port {settings['PORT']}" if settings["PORT"] else "")
    return ServerError(
        f"Cannot connect to the database {settings['NAME']!r}{place if settings['HOST'] else ''}{user}.\n"
        f"{server_words(error)}\n"
        f"Check DATABASES[{connection.alias!r}] and that the server runs; a database that does not exist is created by "
        f"{command('pgcraft_init', connection.alias)}."
    )


@contextmanager
def maintenance_connection(connection: BaseDatabaseWrapper) -> Iterator[BaseDatabaseWrapper]:
    """Yield a connection to the maintenance database, with the credentials of `connection`.

    Django's own alias for that says so to receivers of `connection_created`, which would ask the database that may be
    missing, and to pools, which are kept by alias.

    Raises `django.db.DatabaseError` if there is no way in.
    """
    errors = []
    for name in MAINTENANCE:
        beside = connection.copy(NO_DB_ALIAS)
        beside.settings_dict.update(NAME=name, AUTOCOMMIT=True)
        beside.settings_dict["OPTIONS"].setdefault("connect_timeout", 10)
        try:
            beside.ensure_connection()
        except DatabaseError as error:
            errors.append(error)
            continue
        try:
            yield beside
        finally:
            beside.close()
        return
    raise errors[0]


def exists(beside: BaseDatabaseWrapper, name: str) -> bool:
    """Tell whether the server behind `beside` has the database `name`."""
    with beside.cursor() as cursor:
        cursor.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [name])
        return cursor.fetchone() is not None


def ensure_database(connection: BaseDatabaseWrapper) -> bool:
    """Create the database of `connection` if it is missing; return True if it was.

    Raises `ServerError` if the server is out of reach, refuses the credentials, or the user may not create databases.
    """
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        if not _create_if_missing(connection):  # something else is wrong, and the error says what
            raise _unreachable(connection, error) from error
    else:
        return False
    reach(connection)
    return True


def _create_if_missing(connection: BaseDatabaseWrapper) -> bool:
    name = connection.settings_dict["NAME"]
    try:
        with maintenance_connection(connection) as beside:
            if exists(beside, name):
                return False
            _create(beside, name)
            return True
    except DatabaseError:
        return False


def _create(beside: BaseDatabaseWrapper, name: str, owner: str | None = None) -> None:
    statement = f"CREATE DATABASE {quote_name(name)}" + (f" OWNER {quote_name(owner)}" if owner else "")
    try:
        with beside.cursor() as cursor:
            cursor.execute(f"{statement} ENCODING 'UTF8'")
    except DatabaseError as error:
        if sqlstate(error) in (DUPLICATE_DATABASE, UNIQUE_VIOLATION):
            return  # another session was quicker
        raise ServerError(
            f"Cannot create the database {name!r}: {server_words(error)}\n"
            f"Have a DBA run: CREATE DATABASE {quote_name(name)} OWNER {quote_name(owner or _user(beside))};"
        ) from error


def _user(connection: BaseDatabaseWrapper) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return str(cursor.fetchone()[0])


@contextmanager
def to_replace(connection: BaseDatabaseWrapper) -> Iterator[BaseDatabaseWrapper]:
    """Yield a maintenance connection from which `replace_database` can be expected to work.

    Raises `ServerError` if the server is out of reach, or this user may not drop the database and create it again.
    """
    with ExitStack() as stack:
        try:
            beside = stack.enter_context(maintenance_connection(connection))
        except DatabaseError as error:
            raise _unreachable(connection, error) from error
        _check_replaceable(connection, beside)
        yield beside


def _check_replaceable(connection: BaseDatabaseWrapper, beside: BaseDatabaseWrapper) -> None:
    name = connection.settings_dict["NAME"]
    if name in RESERVED:
        raise ServerError(f"The database {name!r} belongs to the server itself; give the project one of its own.")
    with plain_errors("Looking at the database"), beside.cursor() as cursor:
        cursor.execute(
            "SELECT pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_has_role(d.datdba, 'USAGE'),"
            " u.rolcreatedb OR u.rolsuper, u.rolname"
            " FROM pg_catalog.pg_database d, pg_catalog.pg_roles u WHERE d.datname = %s AND u.rolname = current_user",
            [name],
        )
        row = cursor.fetchone()
    if row is None:
        return
    owner, owned, may_create, user = row
    if not owned:
        raise ServerError(f"The database {name!r} belongs to {owner!r}; {user!r} may not drop it. Nothing was done.")
    if not may_create:
        raise ServerError(
            f"The user {user!r} may not create databases, so {name!r} could not be put back. Nothing was done.\n"
            f"Have a DBA run: ALTER ROLE {quote_name(user)} CREATEDB;"
        )


def replace_database(connection: BaseDatabaseWrapper, beside: BaseDatabaseWrapper) -> None:
    """Put an empty database in the place of the one of `connection`, ending other sessions in it.

    The empty one is made first and renamed last, so that a refusal at any point leaves the old one as it was.
    Raises `ServerError` if the server refuses.
    """
    name = connection.settings_dict["NAME"]
    with plain_errors(f"Replacing the database {name!r}"), beside.cursor() as cursor:
        cursor.execute(
            "SELECT pg_catalog.pg_get_userbyid(datdba) FROM pg_catalog.pg_database WHERE datname = %s", [name]
        )
        row = cursor.fetchone()
        if row is None:
            _create(beside, name)
            return
        spare = f"{name.encode()[: MAX_BYTES - 9].decode(errors='ignore')}_{secrets.token_hex(4)}"
        _create(beside, spare, owner=row[0])
        connection.close()
        try:
            with plain_errors(f"Dropping the database {name!r}"):
                cursor.execute(f"DROP DATABASE {quote_name(name)} WITH (FORCE)")
        except ServerError:
            with suppress(DatabaseError):
                cursor.execute(f"DROP DATABASE {quote_name(spare)}")
            raise
        with plain_errors(f"Renaming the new database {spare!r} to {name!r}"):
            cursor.execute(f"ALTER DATABASE {quote_name(spare)} RENAME TO {quote_name(name)}")
