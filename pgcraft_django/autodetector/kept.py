"""Logs that no model declares any more: their rows are kept until somebody drops the table by hand."""

from collections.abc import Iterable
from typing import Any

from django.db.migrations.operations import AddField, AlterField, RemoveField
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.utils import resolve_relation

from pgcraft_django.autodetector.in_place import in_place_of
from pgcraft_django.autodetector.tables import ModelKey, key_before, model_table, table_owners
from pgcraft_django.errors import MigrationError
from pgcraft_django.factories.append_only.objects import STAMPS
from pgcraft_django.factories.companion import without_reference
from pgcraft_django.history_operations import HISTORY, AddVersion, RemoveVersion
from pgcraft_django.naming import quote_name
from pgcraft_django.objects import DatabaseObject, ObjectKey, Partitioning, TablePlacement, Trigger
from pgcraft_django.objects.trigger import GUARD
from pgcraft_django.recorded import ObjectMap, recorded


def kept_models(gone: Iterable[tuple[str, str]], state: ProjectState) -> list[tuple[str, str]]:
    """Return those of the models in `gone` whose tables stay: logs, and what the triggers of a log keep beside it."""
    keys = sorted(gone)
    logs = [key for key in keys if _is_log(state.models[key], recorded(state).get(key[0], {}))]
    beside = {
        table
        for key in logs
        for item in objects_of_table(model_table(state.models[key]), recorded(state).get(key[0], {})).values()
        for table in item.columns_held
    }
    return [
        key
        for key in keys
        if key in logs or any(table.endswith(f".{quote_name(model_table(state.models[key]))}") for table in beside)
    ]


def refuse_kept_tables(detector: Any) -> None:
    """Raise `MigrationError` if a new model would make a table that is kept for another one, as one that moves does."""
    kept = {model_table(detector.from_state.models[key]): key for key in detector.kept_logs}
    for label, new_name in sorted(detector.new_model_keys - detector.old_model_keys):
        model = detector.to_state.models[label, new_name]
        if former := kept.get(model_table(model)):
            name = detector.from_state.models[former].name
            way = (
                f'For it to go on there, write RenameModel("{name}", "{model.name}") in a migration before.'
                if label == former[0]
                else "To move a model and what goes with it to another app, write CreateModel and DeleteModel in "
                "state_operations of SeparateDatabaseAndState, and run makemigrations again."
            )
            raise MigrationError(
                f"{label}.{model.name} would make the table {model_table(model)}, which is kept from "
                f"{former[0]}.{name} with what is in it. {way} For a new table, write another db_table."
            )


def release_deleted(detector: Any) -> None:
    """Turn foreign keys of kept tables into plain columns where the model that they refer to is deleted.

    Without that model, Django could not load the migrations any more.
    """
    old = detector.old_model_keys | detector.old_unmanaged_keys | detector.old_proxy_keys
    deleted = old - detector.new_model_keys - detector.new_unmanaged_keys - detector.new_proxy_keys
    for label, name in detector.kept_logs:
        for field_name, field in detector.from_state.models[label, name].fields.items():
            target = field.remote_field and resolve_relation(field.remote_field.model, label, name)
            if target in deleted:
                model = detector.from_state.apps.get_model(label, name)
                column = without_reference(model._meta.get_field(field_name))
                detector.add_operation(label, AlterField(model.__name__, field_name, column))


def _is_log(model: ModelState, objects: ObjectMap) -> bool:
    """Tell whether rows of the model's table are never removed."""
    table = model_table(model)
    return any(isinstance(item, Trigger) and (item.table, item.name) == (table, GUARD) for item in objects.values())


def objects_of_table(table: str, known: ObjectMap) -> ObjectMap:
    """Return the objects that are part of the table, and those that they need."""
    queue: list[ObjectKey] = [
        key
        for key, item in known.items()
        if (isinstance(item, TablePlacement) and item.name == table)
        or (isinstance(item, Trigger | Partitioning) and item.table == table)
    ]
    found: ObjectMap = {}
    while queue:
        key = queue.pop()
        if key in known and key not in found:
            found[key] = known[key]
            queue += known[key].depends_on
    return found


def without_dropped_tables(known: dict[str, ObjectMap], state: ProjectState) -> dict[str, ObjectMap]:
    """Return what is recorded without what went with tables that a migration written by hand has dropped."""
    there = table_owners(state)
    gone = {
        (item.schema, item.name)
        for objects in known.values()
        for item in objects.values()
        if isinstance(item, TablePlacement) and item.name not in there
    }

    def is_gone(item: DatabaseObject) -> bool:
        if isinstance(item, Trigger | Partitioning):
            return (item.schema, item.table) in gone
        return isinstance(item, TablePlacement) and (item.schema, item.name) in gone

    return {
        label: {key: item for key, item in objects.items() if not is_gone(item)} for label, objects in known.items()
    }


def delete_as_a_whole(detector: Any) -> None:
    """Let a model that nothing refers to go with its foreign keys, where constraints or indexes may be over these.

    Django removes foreign keys first. Backwards, it makes the table without them, and then fails on such a constraint.
    """
    state = detector.from_state
    deleted = (detector.old_model_keys | detector.old_unmanaged_keys) - (
        detector.new_model_keys | detector.new_unmanaged_keys
    )

    def goes_along(label: str, operation: Operation) -> bool:
        key = (label, getattr(operation, "model_name_lower", ""))
        if type(operation) is not RemoveField or key not in deleted or state.relations[key]:
            return False
        options, field = state.models[key].options, state.models[key].get_field(operation.name)
        target = resolve_relation(field.remote_field.model, *key)
        return target not in deleted and bool(options.get("constraints") or options.get("indexes"))

    for label, operations in detector.generated_operations.items():
        operations[:] = [operation for operation in operations if not goes_along(label, operation)]


def with_history(detector: Any, label: str, operation: Operation) -> Operation:
    """Return an operation after which versions go on where a kept history ends, if that is what `operation` needs.

    Raises `MigrationError` if the history would take over a column that the model had before it.
    """
    _refuse_values(detector, label, operation)
    if type(operation) not in (AddField, RemoveField) or operation.name != "version":  # type: ignore[attr-defined]
        return operation
    history = ModelKey(label, f"{operation.model_name_lower}{HISTORY}")  # type: ignore[attr-defined]
    if isinstance(operation, RemoveField):
        return in_place_of(operation, RemoveVersion) if history in detector.kept_logs else operation
    was_kept = key_before(detector, history) in detector.from_state.models
    if was_kept and hasattr(_declared(detector, label, operation), "history"):
        return in_place_of(operation, AddVersion)
    return operation


def _refuse_values(detector: Any, label: str, operation: Any) -> None:
    if type(operation) is not AlterField or operation.name not in STAMPS:
        return
    model = _declared(detector, label, operation)
    before = key_before(detector, ModelKey(label, operation.model_name_lower))
    if hasattr(model, "history") and (label, f"{before.name}{HISTORY}") not in detector.from_state.models:
        raise MigrationError(
            f"{model._meta.label}.{operation.name} has values of its own, which a PGCraftAppendOnly would overwrite. "
            "Rename the field in a migration before the one that makes its model a PGCraftAppendOnly."
        )


def _declared(detector: Any, label: str, operation: Any) -> Any:
    return detector.declared_apps.get_model(label, operation.model_name)
