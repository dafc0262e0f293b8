"""The search path: how Django finds tables that it names without a schema."""

import os
import re
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.db import connections

from pgcraft_django.naming import DEFAULT_SCHEMA, quote_name, quote_names
from pgcraft_django.registry import table_schemas


def search_path_option(schemas: Sequence[str]) -> str:
    """Return the start-up option with which Django makes tables in the default schema and finds those in `schemas`."""
    path = ", ".join((DEFAULT_SCHEMA, *map(quote_name, schemas)))
    # Options end at white space unless a backslash is before it, see "options" of libpq.
    return "-c search_path=" + re.sub(r"([\\\s])", r"\\\1", path)


def set_search_path() -> None:
    """Add the schemas of the tables to the start-up options of each PostgreSQL connection that sets no path itself.

    A connection with `"OPTIONS": {"options": None}` goes without.
    """
    option = search_path_option(table_schemas())
    for alias in connections:
        settings = connections.settings[alias]
        if "postgresql" not in settings["ENGINE"] and "postgis" not in settings["ENGINE"]:
            continue
        options = settings.setdefault("OPTIONS", {})
        if options.get("options", "") is None:
            continue  # behind PgBouncer, which refuses them: there the database or the role has the path
        # What a connection sets replaces PGOPTIONS, which would count without us.
        own = options.get("options") or os.environ.get("PGOPTIONS", "")
        if "search_path" not in own:
            options["options"] = f"{own} {option}".strip()


def extend_search_path(sender: AppConfig, using: str, plan: list[Any], **kwargs: Any) -> None:
    """Before `migrate`, add schemas that tables were in at some time: old migrations have to find them there."""
    connection = connections[using]
    if connection.vendor != "postgresql" or not plan:
        return
    former = _schemas_of_all_migrations() - set(table_schemas()) - {DEFAULT_SCHEMA}
    if former:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_catalog.current_setting('search_path')")
            (path,) = cursor.fetchone()
            cursor.execute(
                "SELECT pg_catalog.set_config('search_path', %s, false)", [f"{path}, {quote_names(sorted(former))}"]
            )


def _schemas_of_all_migrations() -> set[str]:
    # Here and not above, because every start-up imports this module, and only `migrate` comes here.
    from django.db.migrations.loader import MigrationLoader

    from pgcraft_django.operations import SetTableSchema

    operations = [
        operation
        for migration in MigrationLoader(None, ignore_no_migrations=True).disk_migrations.values()
        for operation in migration.operations
    ]
    return {
        schema
        for operation in operations
        if isinstance(operation, SetTableSchema)
        for schema in (operation.old_schema, operation.new_schema)
    }
