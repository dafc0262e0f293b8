"""Entries of fixtures: `loaddata` brings them back with their ids and times, and otherwise books as anybody does."""

from collections.abc import Sequence
from typing import Any

from django.db import connections
from django.db.models.sql import InsertQuery

from pgcraft_django.columns import AnyField, column_name
from pgcraft_django.factories.fixtures import as_from_a_dump


def insert_as_it_was(entry: Any, using: str, fields: Sequence[AnyField]) -> None:
    """Insert an entry with all values that it has. Who does not own the table cannot say when it was booked."""
    connection: Any = connections[using]
    query: Any = InsertQuery(type(entry))
    query.insert_values(fields, [entry], raw=True)
    [(sql, parameters)] = query.get_compiler(connection=connection).as_sql()
    columns = f"({', '.join(connection.ops.quote_name(column_name(field)) for field in fields)})"
    sql = sql.replace(f"{columns} VALUES", f"{columns} OVERRIDING SYSTEM VALUE VALUES", 1)
    with as_from_a_dump(using, type(entry), "check_function_bodies"), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
