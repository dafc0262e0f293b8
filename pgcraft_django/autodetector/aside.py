"""Migrations that know nothing of our objects: what reads a column whose type they change stands aside for a moment.

PostgreSQL does not change a column that a view reads. In migrations that `makemigrations` writes here, the view has
gone by then. Those of a package come as they are, and change its own tables and all that refers to them. So while one
is applied, in its transaction, the objects over these columns are dropped, and created again. What is recorded of them
stays, and `makemigrations` tells the difference afterwards.

With a column or a table that is removed, PostgreSQL drops the views that show it and the policies that compare it
without a word, since Django says CASCADE. And of a table that gets another name, no migration of ours could drop the
grants and policies. That is refused: they have to go first, by a migration of ours.
"""

from collections.abc import Iterable
from copy import copy
from typing import Any, TypeGuard

from django.db.migrations import Migration
from django.db.migrations.operations import (
    AlterField,
    AlterModelTable,
    DeleteModel,
    RemoveField,
    RenameModel,
    SeparateDatabaseAndState,
)
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.migrations.utils import resolve_relation
from django.db.models import ManyToManyField

from pgcraft_django.attribute_operations import AlterKey
from pgcraft_django.autodetector.diff import Disturbance, States, make_plan
from pgcraft_django.autodetector.tables import (
    ModelKey,
    column,
    link_table,
    model_table,
    model_tables,
    quoted_table,
    table_schemas,
)
from pgcraft_django.columns import is_set_anew
from pgcraft_django.errors import MigrationError
from pgcraft_django.objects import DatabaseObject, Policy, View
from pgcraft_django.operations import Create, Drop, ObjectOperation
from pgcraft_django.recorded import recorded


def changes_columns(migration: Migration) -> bool:
    """Tell whether a migration may change the type of a column, or take it away, without knowing who reads it."""
    return any(_knows_of_none(operation) or _takes_away(operation) for operation in migration.operations)


def _knows_of_none(operation: Operation) -> TypeGuard[AlterField]:
    return type(operation) is AlterField  # ours are of other types


def _takes_away(operation: Operation) -> bool:
    return type(operation) in (RemoveField, DeleteModel, RenameModel, AlterModelTable)


def objects_made_by(migrations: Iterable[Migration], before: States | None = None) -> States:
    """Return what is recorded after `migrations`, in their order, without working out anything else of their state.

    `before`, what there was already, is changed.
    """
    state = ProjectState()
    recorded(state).update(before or {})
    for migration in migrations:
        for operation in migration.operations:
            _record(state, migration.app_label, operation)
    return recorded(state)


def _record(state: ProjectState, app_label: str, operation: Operation) -> None:
    if isinstance(operation, ObjectOperation):
        operation.state_forwards(app_label, state)
    for inner in operation.state_operations if isinstance(operation, SeparateDatabaseAndState) else ():
        _record(state, app_label, inner)


def with_objects_aside(
    migration: Migration, state: ProjectState, known: States, *, backwards: bool = False
) -> Migration:
    """Return `migration` with operations around those that change the type of a column which `known` objects read.

    `state` is the one before the migration. It is not changed, and neither is `migration`.
    Raises `MigrationError` if it removes what a view or a policy of another app needs.
    """
    state = state.clone()
    recorded(state).update({app_label: dict(objects) for app_label, objects in known.items()})
    operations: list[Operation] = []
    for operation in migration.operations:
        if _knows_of_none(operation) and (aside := _aside(state, migration.app_label, operation)):
            altered = AlterKey(operation.model_name, operation.name, operation.field, operation.preserve_default)
            operations += [
                SeparateDatabaseAndState([Drop(aside)]),
                altered if operation.field.primary_key or operation.field.unique else operation,
                SeparateDatabaseAndState([Create(aside[::-1])]),
            ]
        else:
            if _takes_away(operation) and not backwards:
                _refuse_to_lose_objects(state, migration, operation)
            operations.append(operation)
        operation.state_forwards(migration.app_label, state)
    if len(operations) == len(migration.operations):
        return migration
    changed = copy(migration)
    vars(changed)["operations"] = operations
    return changed


def _aside(state: ProjectState, app_label: str, operation: AlterField) -> list[DatabaseObject]:
    """Return the objects that are in the way of an operation, in the order in which they can be dropped."""
    key = ModelKey(app_label, operation.model_name_lower)
    old, new = state.models[key].fields[operation.name], operation.field
    if old.is_relation or new.is_relation or not is_set_anew(old, new):
        return []
    known = recorded(state)
    schemas = table_schemas(known)
    columns: dict[str, set[str]] = {}
    for table, name in _columns(state, key, operation):
        columns.setdefault(quoted_table(table, schemas), set()).add(name)
    changed = {table: frozenset(names) for table, names in columns.items()}
    kept = {
        app_label: {item.key: item for item in objects.values() if item.narrowed(item, changed) is not None}
        for app_label, objects in known.items()
    }
    return [change.value for layer in make_plan(known, kept, Disturbance()).drops for change in layer]


def _refuse_to_lose_objects(state: ProjectState, migration: Migration, operation: Operation) -> None:
    known = recorded(state)
    schemas = table_schemas(known)
    for table, name in _taken_away(state, migration.app_label, operation):
        quoted = quoted_table(table, schemas)
        for label, objects in sorted(known.items()):
            for item in objects.values() if label != migration.app_label else ():
                held = item.columns_held.get(quoted) if isinstance(item, View | Policy) else None
                if held is not None and (not name or name in held):
                    what = f"{table}.{name}" if name else table
                    use = "shows" if isinstance(item, View) else "needs"
                    raise MigrationError(
                        f"{migration} takes {what} away, which {item.describe()} {use}. Let the {item.kind} go first: "
                        f"run makemigrations, and in the migration of {label} that it writes, keep Drop, and else what "
                        f"can be made before, and move ({migration.app_label!r}, {migration.name!r}) from dependencies "
                        "to a list run_before. Then run makemigrations again, which writes the rest."
                    )


def _taken_away(state: ProjectState, app_label: str, operation: Any) -> list[tuple[str, str]]:
    """Return the tables that go or get another name, each with the column, which is empty for all of the table."""
    if isinstance(operation, RemoveField):
        model = state.models[app_label, operation.model_name_lower]
        field = model.fields[operation.name]
        if isinstance(field, ManyToManyField):
            link = link_table(model, operation.name, field)
            return [(link, "")] if link else []
        return [(model_table(model), column(operation.name, field))]
    name = operation.old_name_lower if isinstance(operation, RenameModel) else operation.name_lower
    model = state.models[app_label, name]
    tables = set(model_tables(model)) if model.options.get("managed", True) else set()
    if not isinstance(operation, DeleteModel):
        after = state.clone()
        operation.state_forwards(app_label, after)
        tables -= {table for other in after.models.values() for table in model_tables(other)}
    return [(table, "") for table in sorted(tables)]


def _columns(state: ProjectState, key: ModelKey, operation: AlterField) -> set[tuple[str, str]]:
    """Return table and column of the field, and of all foreign keys that have its type, however indirectly."""
    found = {(model_table(state.models[key]), column(operation.name, state.models[key].fields[operation.name]))}
    queue = [key]
    while queue:
        target = queue.pop()
        for other, model in state.models.items():
            for name, field in model.fields.items():
                if not field.is_relation or field.many_to_many or not field.remote_field.model:
                    continue
                place = (model_table(model), column(name, field))
                if resolve_relation(field.remote_field.model, *other) == target and place not in found:
                    found.add(place)
                    queue.append(ModelKey(*other))
    return found
