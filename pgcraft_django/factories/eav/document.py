"""Where attributes are: `<table>_entity` has the keys, and in each row a document of the type `<table>_document`."""

from collections.abc import Sequence
from typing import Any

from django.db import models

from pgcraft_django.columns import AnyField, column_name, column_types
from pgcraft_django.naming import quote_name
from pgcraft_django.plugins.base import option

ENTITY, DOCUMENT, LOG = "_entity", "_document", "_attribute"
"""What the names of the tables end with."""
ENTITY_MODEL, DOCUMENT_MODEL, LOG_MODEL = "entity", "document", "attribute"
"""What the lower-case names of their models end with."""
DATA = "data"
"""The column of the entity's table that the document is in."""

FIXED = frozenset(
    {
        "BigIntegerField",
        "BooleanField",
        "DateField",
        "DateTimeField",
        "DurationField",
        "FloatField",
        "IntegerField",
        "PositiveBigIntegerField",
        "PositiveIntegerField",
        "PositiveSmallIntegerField",
        "SmallIntegerField",
        "TimeField",
        "UUIDField",
    }
)
"""Kinds of fields whose values are of one length."""

EXTRA = "extra"
"""The attribute with the values of attributes that are defined at run time."""


class DocumentField(models.Field):  # type: ignore[type-arg]
    """The column for the document, whose type is the row type of the companion table beside it."""

    description = "Attributes of an entity"

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _, arguments, keywords = super().deconstruct()
        return name, "pgcraft_django.models.DocumentField", arguments, keywords

    def db_type(self, connection: Any) -> str:
        return quote_name(self.model._meta.db_table.removesuffix(ENTITY) + DOCUMENT)


def is_column(field: AnyField) -> bool:
    """Tell whether a field of the model is a column of the entity's table: its key, and foreign keys."""
    return bool(field.primary_key or field.is_relation)


def varies(field: AnyField) -> bool:
    """Tell whether values of the field differ in length.

    What is behind such a value in the document is found by going through all before it. So they come last.
    """
    return field.get_internal_type() not in FIXED


def has_extra(model: type[models.Model]) -> bool:
    """Tell whether attributes of the model can be defined at run time."""
    return option(model, EXTRA) is True


def place(field: AnyField, row: str = "") -> str:
    """Return the SQL expression of a field in a row of the entity's table, such as `entity` or `NEW`."""
    prefix = f"{row}." if row else ""
    column = quote_name(column_name(field))
    return f"{prefix}{column}" if is_column(field) else f"({prefix}{DATA}).{column}"


def stored(model: type[models.Model], schema: str, fields: Sequence[AnyField]) -> dict[str, Any]:
    """Return what the SQL of `place` reads: quoted table -> column -> type."""
    table = model._meta.db_table
    attributes = [field for field in fields if not is_column(field)]
    columns = column_types(field for field in fields if is_column(field))
    found = {quote_name(schema, f"{table}{ENTITY}"): columns}
    if attributes:
        columns[DATA] = f"{table}{DOCUMENT}"
        found[quote_name(schema, f"{table}{DOCUMENT}")] = column_types(attributes)
    return found
