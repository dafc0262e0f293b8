"""Entries of fixtures: `loaddata` brings them back with their ids and times, and otherwise books as anybody does."""

from collections.abc import Sequence
from typing import Any

from django.db import connections, transaction
from django.db.models.sql import InsertQuery

from pgcraft_django.columns import AnyField, column_name
from pgcraft_django.factories.ledger.reading import conditions
from pgcraft_django.naming import quote_name

_KEEP_TIMES = """
    SELECT pg_catalog.current_setting('check_function_bodies'),
        pg_catalog.set_config('check_function_bodies', 'off', true)
    WHERE pg_catalog.has_table_privilege(%s, 'TRIGGER')
"""


def is_booked(entry: Any, using: str) -> bool:
    """Tell whether the ledger has the very entry already. In JSON, its time is cut to milliseconds."""
    fields = [field for field in entry._meta.concrete_fields if not field.generated and field.name != "created_at"]
    said = conditions({field.attname: getattr(entry, field.attname) for field in fields})
    return bool(type(entry)._base_manager.using(using).filter(**said).exists())


def insert_as_it_was(entry: Any, using: str, fields: Sequence[AnyField]) -> None:
    """Insert an entry with all values that it has. Who does not own the table cannot say when it was booked."""
    connection: Any = connections[using]
    query: Any = InsertQuery(type(entry))
    query.insert_values(fields, [entry], raw=True)
    [(sql, parameters)] = query.get_compiler(connection=connection).as_sql()
    columns = f"({', '.join(connection.ops.quote_name(column_name(field)) for field in fields)})"
    sql = sql.replace(f"{columns} VALUES", f"{columns} OVERRIDING SYSTEM VALUE VALUES", 1)
    with transaction.atomic(using=using, savepoint=False), connection.cursor() as cursor:
        cursor.execute(_KEEP_TIMES, [quote_name(entry._meta.db_table)])
        before = [setting for setting, _ in cursor.fetchall()]
        cursor.execute(sql, parameters)
        for setting in before:
            cursor.execute("SELECT pg_catalog.set_config('check_function_bodies', %s, true)", [setting])
