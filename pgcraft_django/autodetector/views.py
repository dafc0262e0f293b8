"""Models whose relation is a view: migrations have them as unmanaged models, so that Django makes no table.

The autodetector follows the fields of managed models only. So here they count as such, until the operations are made.
"""

# django-stubs leaves out what subclasses of the autodetector work with.
# mypy: disable-error-code="attr-defined, misc, override, arg-type, union-attr"

from typing import Any

from django.apps.registry import Apps
from django.db.migrations.autodetector import OperationDependency
from django.db.migrations.operations import (
    AddField,
    AlterField,
    AlterModelOptions,
    CreateModel,
    DeleteModel,
    RemoveField,
    RenameField,
)
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from pgcraft_django.attribute_operations import (
    AddAttribute,
    AlterAttribute,
    AlterAttributeType,
    AlterKey,
    RemoveAttribute,
    RenameAttribute,
    view_models,
)
from pgcraft_django.autodetector.in_place import in_place_of
from pgcraft_django.autodetector.tables import ModelKey, column, key_before, old_field, referred_models
from pgcraft_django.columns import column_type
from pgcraft_django.errors import MigrationError
from pgcraft_django.factories.base import get_factory
from pgcraft_django.factories.eav.document import DOCUMENT_MODEL, ENTITY_MODEL


def count_as_managed(from_state: ProjectState, apps: Apps) -> set[ModelKey]:
    """Let the detector see the fields of such models, and return which there will be.

    Raises `MigrationError` for a model that is to become one, or to be one no longer, and has rows of another shape.
    """
    before = {ModelKey(*key) for key in view_models(from_state)}
    for key in before:
        from_state.models[key].options.pop("managed", None)
    models = {ModelKey(model._meta.app_label, str(model._meta.model_name)): model for model in apps.get_models()}
    after = {key for key, model in models.items() if get_factory(model).has_view and not model._meta.proxy}
    for key in sorted(from_state.models.keys() & models.keys()):
        if (key in before) != (key in after):
            name = models[key]._meta.label
            raise MigrationError(
                f"{name} cannot change between a table and a PGCraftEAV in place. Declare a new model beside it, copy "
                "the rows in a data migration, and delete this one."
            )
    return after


def refuse_order(detector: Any) -> None:
    """Raise `MigrationError` for a model that is to be ordered and may have rows: nothing gives them a place."""
    for key in sorted(detector.views):
        old = detector.from_state.models.get(key_before(detector, key))
        model = detector.to_state.models.get(key)
        order = model.options.get("order_with_respect_to") if model else None
        if old and order and not old.options.get("order_with_respect_to"):
            raise MigrationError(
                f"{key.app_label}.{model.name} cannot be given order_with_respect_to, because it is a PGCraftEAV that "
                'exists already. Write place = models.IntegerField(default=0), and ordering = ["place"] in class Meta.'
            )


def as_unmanaged(operation: Operation, views: set[ModelKey], label: str) -> None:
    """Write in the migration that Django makes no table for a model that is a view, also where other options change."""
    if isinstance(operation, CreateModel | AlterModelOptions) and (label, operation.name_lower) in views:
        operation.options["managed"] = False


def order_deletion(detector: Any) -> None:
    """Let the type of documents be dropped after the column that has it."""
    for label, operations in detector.generated_operations.items():
        for operation in operations:
            if isinstance(operation, DeleteModel) and operation.name_lower.endswith(DOCUMENT_MODEL):
                entity = f"{operation.name_lower.removesuffix(DOCUMENT_MODEL)}{ENTITY_MODEL}"
                operation._auto_deps.append(OperationDependency(label, entity, None, OperationDependency.Type.REMOVE))


def with_attributes(detector: Any, label: str, operation: Operation) -> Operation:
    """Return the operation that does to attributes what `operation` does to columns."""
    if type(operation) is RemoveField:
        return _without_values(detector, ModelKey(label, operation.model_name_lower), operation)
    if type(operation) is RenameField and (label, operation.model_name_lower) in detector.views:
        return in_place_of(operation, RenameAttribute)
    if type(operation) not in (AddField, AlterField) or operation.field.many_to_many:
        return operation
    key = ModelKey(label, operation.model_name_lower)
    if type(operation) is AlterField and _is_referred_key_of_other_type(detector, key, operation):
        altered = in_place_of(operation, AlterKey)
        if behind := _view_before(detector, key, ENTITY_MODEL):  # what other apps have dropped has gone before it
            altered._auto_deps.append(
                OperationDependency(label, behind.name, operation.name, OperationDependency.Type.ALTER)
            )
        return altered
    if key in detector.views:
        return _with_values(detector, key, operation)
    of_document = _view_before(detector, key, DOCUMENT_MODEL) is not None
    if isinstance(operation, AlterField) and of_document and _is_of_other_type(detector, key, operation):
        return in_place_of(operation, AlterAttributeType)
    return operation


def _without_values(detector: Any, key: ModelKey, operation: Any) -> Operation:
    """Return the operation that backwards gives values to what that on the column or attribute brings back.

    A column or attribute goes after that: its values may have moved to the other kind.
    """
    if key in detector.views:
        return in_place_of(operation, RemoveAttribute)
    for suffix in (DOCUMENT_MODEL, ENTITY_MODEL):
        if view := _view_before(detector, key, suffix):
            for what in (OperationDependency.Type.REMOVE, OperationDependency.Type.ALTER):
                operation._auto_deps.append(OperationDependency(key.app_label, view.name, operation.name, what))
    return operation  # type: ignore[no-any-return]


def _view_before(detector: Any, key: ModelKey, suffix: str) -> ModelKey | None:
    """Return the view that a companion with this suffix is behind, or None if the model is no such companion."""
    view = ModelKey(key.app_label, key.name.removesuffix(suffix))
    return view if key.name.endswith(suffix) and view in detector.views else None


def _with_values(detector: Any, key: ModelKey, operation: Any) -> Operation:
    """Return an operation that sees to it that no value is missing, after that for the column or attribute itself."""
    kind: type[Operation]
    if isinstance(operation, AddField):
        kind, of_column = AddAttribute, OperationDependency.Type.CREATE
        needed = operation.field.has_default() or operation.field.has_db_default()
    else:
        kind, of_column = AlterAttribute, OperationDependency.Type.ALTER
        old_name, old = old_field(detector, key, operation)
        moved = old.is_relation != operation.field.is_relation
        of_column = OperationDependency.Type.CREATE if moved else of_column
        renamed = column(old_name, old) != column(operation.name, operation.field)
        needed = moved or renamed or (old.null and not operation.field.null)
    if not needed:
        return operation  # type: ignore[no-any-return]
    changed = in_place_of(operation, kind)
    behind = f"{key.name}{ENTITY_MODEL if operation.field.is_relation else DOCUMENT_MODEL}"
    changed._auto_deps.append(OperationDependency(key.app_label, behind, operation.name, of_column))
    return changed


def _is_of_other_type(detector: Any, key: ModelKey, operation: Any) -> bool:
    return column_type(old_field(detector, key, operation)[1]) != column_type(operation.field)


def _is_referred_key_of_other_type(detector: Any, key: ModelKey, operation: Any) -> bool:
    """Tell whether the type of a key changes that is behind a view, or that views refer to, however indirectly."""
    field = operation.field
    if field.is_relation or not (field.primary_key or field.unique):
        return False
    old = old_field(detector, key, operation)[1]
    if old.is_relation or column_type(old) == column_type(field):
        return False
    if _view_before(detector, key, ENTITY_MODEL):
        return True
    return key not in detector.views and any(key in referred_models(detector.to_state, view) for view in detector.views)
