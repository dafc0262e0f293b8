"""What PostgreSQL will make of a Django field, found out without a database."""

from collections.abc import Iterable
from functools import cache
from typing import Any, TypeAlias

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from pgcraft_django.conf import OLDEST_POSTGRESQL
from pgcraft_django.naming import quote_name

AnyField: TypeAlias = "models.Field[Any, Any]"


@cache
def _offline() -> BaseDatabaseWrapper:
    from django.db.backends.postgresql.base import DatabaseWrapper

    return DatabaseWrapper({"NAME": "", "OPTIONS": {}, "TIME_ZONE": None}, alias="pgcraft_django_offline")


def postgresql() -> BaseDatabaseWrapper:
    """Return the project's PostgreSQL connection, which knows its own field types, or one that never connects."""
    aliases = sorted(connections, key=lambda alias: (alias != "default", alias))
    return next((connections[alias] for alias in aliases if connections[alias].vendor == "postgresql"), _offline())


def compiling(major: int = OLDEST_POSTGRESQL) -> BaseDatabaseWrapper:
    """Return a copy of that connection which compiles for PostgreSQL `major`, without asking the server.

    What it compiles for the oldest release runs on all of them.
    """
    connection: Any = postgresql().copy()
    connection.pg_version = major * 10000  # otherwise Django asks the server
    return connection  # type: ignore[no-any-return]


def column_name(field: AnyField) -> str:
    """Return the name of the column of a field that has one."""
    return str(field.column)


def is_virtual(field: Any) -> bool:
    """Tell whether PostgreSQL computes the column when it is read. In triggers it is NULL."""
    return bool(field.generated and not field.db_persist)


def is_indexed(model: type[models.Model], field: Any, *, ordered: bool = False) -> bool:
    """Tell whether an index of the model begins with the field, or none would help to find its values.

    With `ordered`, only a B-tree over all rows counts: no row has a value that is too long for another one.
    """
    if field.primary_key or field.unique or field.db_index or isinstance(field, models.BooleanField):
        return True
    options: Any = model._meta
    items: list[Any] = [*options.indexes, *options.constraints]
    if ordered:
        items = [
            item
            for item in items
            if getattr(item, "suffix", "btree") in ("idx", "btree") and not getattr(item, "condition", None)
        ]
    lists = [*options.unique_together, *(getattr(item, "fields", ()) for item in items)]
    return any(names and names[0].lstrip("-") in (field.name, field.attname) for names in lists)


def column_types(fields: Iterable[AnyField]) -> dict[str, str]:
    """Return column -> type, with what else binds it: `varchar(20) COLLATE "de"`."""
    connection = postgresql()
    return {column_name(field): _column_type(field, connection) for field in fields}


def column_type(field: AnyField) -> str:
    """Return the type of one field's column, which need not have a name yet."""
    return _column_type(field, postgresql())


def is_set_anew(old: AnyField, new: AnyField) -> bool:
    """Tell whether Django sets the type of the column, as it does for another type, and with another comment."""
    if old.db_comment != new.db_comment or old.is_relation != new.is_relation:
        return True
    return not new.is_relation and column_type(old) != column_type(new)


def _column_type(field: AnyField, connection: BaseDatabaseWrapper) -> str:
    parameters = field.db_parameters(connection)
    collation = parameters.get("collation")
    suffix = field.db_type_suffix(connection)
    return " ".join(
        [
            str(parameters["type"]),
            *([f"COLLATE {quote_name(collation)}"] if collation else []),
            *([suffix] if suffix else []),
        ]
    )
