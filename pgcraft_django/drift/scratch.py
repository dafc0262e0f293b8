"""A database of its own in which the migrations are run, and which is dropped afterwards."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from pgcraft_django.diagnosis import server_words
from pgcraft_django.errors import ServerError
from pgcraft_django.lifecycle.database import maintenance_connection
from pgcraft_django.naming import MAX_BYTES, quote_name, quote_text


@contextmanager
def migrated_scratch(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let `connection` lead to a new database with all migrations applied, as Django's test runner does.

    Routers and settings go by the alias, which stays. Raises `ServerError` if this user may not create databases.
    """
    name = str(connection.settings_dict["NAME"])
    scratch = f"{name.encode()[: MAX_BYTES - 15].decode(errors='ignore')}_drift_{secrets.token_hex(4)}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_catalog.current_setting('search_path')")
        (path,) = cursor.fetchone()
    with maintenance_connection(connection) as beside:
        try:
            with beside.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {quote_name(scratch)} TEMPLATE template0 ENCODING 'UTF8'")
        except DatabaseError as error:
            raise ServerError(
                f"Cannot create a scratch database to run the migrations in: {server_words(error)}\n"
                "Have a DBA grant it, ALTER ROLE … CREATEDB, or look for drift as a user that may create databases."
            ) from error
        try:
            with beside.cursor() as cursor:
                # Behind a pool the real database has the path, and not the connection. In one text, so in one session.
                cursor.execute(
                    f"SELECT pg_catalog.set_config('search_path', {quote_text(path)}, false);"
                    f" ALTER DATABASE {quote_name(scratch)} SET search_path FROM CURRENT"
                )
            connection.close()
            connection.settings_dict["NAME"] = scratch
            call_command("migrate", database=connection.alias, verbosity=0, interactive=False)
            yield
        finally:
            connection.close()
            connection.settings_dict["NAME"] = name
            with beside.cursor() as cursor:
                cursor.execute(f"DROP DATABASE IF EXISTS {quote_name(scratch)} WITH (FORCE)")
