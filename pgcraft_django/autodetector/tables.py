"""Which model is behind which table, and in which schema that is, read from a migration state without its models."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.db.backends.utils import strip_quotes, truncate_name
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.utils import resolve_relation
from django.db.models import ForeignObject, ManyToManyField

from pgcraft_django.columns import AnyField
from pgcraft_django.naming import DEFAULT_SCHEMA, MAX_BYTES, quote_name
from pgcraft_django.objects import TablePlacement
from pgcraft_django.recorded import ObjectMap


class ModelKey(NamedTuple):
    """App label and lower-case name of a model."""

    app_label: str
    name: str


def model_table(model: ModelState) -> str:
    """Return the name of the model's table."""
    return model.options.get("db_table") or truncate_name(f"{model.app_label}_{model.name_lower}", MAX_BYTES)


def link_table(model: ModelState, name: str, field: "ManyToManyField[Any, Any]") -> str | None:
    """Return the table of a many-to-many field, or None if a model of its own is behind it."""
    if field.remote_field.through and not getattr(field.remote_field.through, "_meta", None):
        return None
    return field.db_table or truncate_name(f"{strip_quotes(model_table(model))}_{name}", MAX_BYTES)  # type: ignore[attr-defined]


def column(name: str, field: AnyField) -> str:
    """Return the column of a field of a model state, which is not bound to a model."""
    return field.db_column or (f"{name}_id" if isinstance(field, ForeignObject) else name)


def key_before(detector: Any, key: ModelKey) -> ModelKey:
    """Return the key that a model had before this run, which may rename it."""
    return ModelKey(key.app_label, detector.renamed_models.get(key, key.name).lower())


def old_field(detector: Any, key: ModelKey, operation: Any) -> tuple[str, Any]:
    """Return the name and the field that an operation of this run finds, on a model that may be renamed in it too."""
    old_name = detector.renamed_fields.get((*key, operation.name), operation.name)
    return old_name, detector.from_state.models[key_before(detector, key)].fields[old_name]


def table_owners(state: ProjectState) -> dict[str, ModelKey]:
    """Return table -> model, the tables of many-to-many fields included."""
    return {table: key for key, model in state.models.items() for table in model_tables(model)}


def model_tables(model: ModelState) -> Iterator[str]:
    """Yield the model's table and those of its many-to-many fields."""
    if model.options.get("proxy"):
        return
    yield model_table(model)
    for name, field in model.fields.items():
        if isinstance(field, ManyToManyField) and (table := link_table(model, name, field)):
            yield table


def referred_models(state: ProjectState, key: ModelKey) -> set[ModelKey]:
    """Return the models that the model refers to, however far.

    Its foreign keys take over the types of their columns, its many-to-many tables the names of the models.
    """
    found: set[ModelKey] = set()
    queue = [key]
    while queue:
        current = queue.pop()
        model = state.models.get(current)
        for field in model.fields.values() if model else ():
            if field.is_relation and field.remote_field.model:
                target = ModelKey(*resolve_relation(field.remote_field.model, *current))
                if target not in found:
                    found.add(target)
                    queue.append(target)
    return found


def table_schemas(state: Mapping[str, ObjectMap]) -> dict[str, str]:
    """Return table -> schema for the tables that are not where Django puts them."""
    return {
        key.name: key.schema
        for objects in state.values()
        for key, item in objects.items()
        if isinstance(item, TablePlacement)
    }


def quoted_table(table: str, schemas: dict[str, str]) -> str:
    """Return the quoted name of a table with its schema."""
    return quote_name(schemas.get(table, DEFAULT_SCHEMA), table)
