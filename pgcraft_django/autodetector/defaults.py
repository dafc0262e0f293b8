"""Columns that change their type while the database has a default for them."""

# django-stubs leaves out what subclasses of the autodetector work with.
# mypy: disable-error-code="attr-defined, misc, override, arg-type, union-attr"

from typing import Any

from django.db.migrations.operations import AlterField
from django.db.migrations.operations.base import Operation

from pgcraft_django.autodetector.in_place import in_place_of
from pgcraft_django.autodetector.tables import ModelKey, old_field
from pgcraft_django.columns import AnyField, column_type
from pgcraft_django.operations import AlterFieldType
from pgcraft_django.registry import is_concerned


def with_default_aside(detector: Any, label: str, operation: Operation) -> Operation:
    """Return an operation that a default in the database cannot stop, if that is what `operation` needs."""
    if type(operation) is not AlterField:
        return operation
    if not is_concerned(detector.declared_apps.get_model(label, operation.model_name)):
        return operation
    _, old = old_field(detector, ModelKey(label, operation.model_name_lower), operation)
    if old.is_relation or not old.has_db_default() or _is_of_type(operation.field, column_type(old)):
        return operation
    return in_place_of(operation, AlterFieldType)


def _is_of_type(field: AnyField, known: str) -> bool:
    # The type of a foreign key is not told before its model is at hand: it counts as another one.
    return not field.is_relation and column_type(field) == known
