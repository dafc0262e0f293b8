"""Constraints and indexes with expressions over a column whose type changes: removed before, and added after.

PostgreSQL would carry them over by itself: it reads the expression, with casts where the new type needs some, and they
stay when the type comes back. Then it is another expression than in a new database, and an index of it serves no query
any more. And where no cast helps, as from text to a number, the type could not be changed.
"""

# django-stubs leaves out what subclasses of the autodetector work with.
# mypy: disable-error-code="attr-defined, misc, override, arg-type, union-attr"

from collections.abc import Iterator
from functools import partial
from typing import Any

from django.db.migrations.operations import AddConstraint, AddIndex, RemoveConstraint, RemoveIndex
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.utils import resolve_relation
from django.db.models import ForeignKey, Model

from pgcraft_django.autodetector.tables import ModelKey, key_before
from pgcraft_django.columns import AnyField, is_set_anew
from pgcraft_django.registry import is_concerned


def remake_expressions(detector: Any) -> None:
    """Let the detector remove and add the constraints and indexes that stay the same while a column under them changes.

    It has found out what to do with those that differ, and writes the operations afterwards.
    """
    for key in sorted(ModelKey(*key) for key in detector.kept_model_keys):
        old, new = detector.from_state.models[key_before(detector, key)], detector.to_state.models[key]
        if not (new.options["constraints"] or new.options["indexes"]) or not _is_concerned(detector, key):
            continue
        reads_changed = partial(_reads_changed, old=(detector.from_state, old), new=(detector.to_state, new))
        for option, found in (("constraints", detector.altered_constraints), ("indexes", detector.altered_indexes)):
            changes = found[key]
            same = {item.name: item for item in old.options[option] if item not in changes[f"removed_{option}"]}
            for item in new.options[option]:
                if item.name in same and item not in changes[f"added_{option}"] and reads_changed(item):
                    changes[f"removed_{option}"].append(same[item.name])
                    changes[f"added_{option}"].append(item)
        changes = detector.altered_indexes[key]
        for renamed in list(changes["renamed_indexes"]):
            index = new.get_index_by_name(renamed[1])
            if reads_changed(index):
                changes["renamed_indexes"].remove(renamed)
                changes["removed_indexes"].append(old.get_index_by_name(renamed[0]))
                changes["added_indexes"].append(index)
        changes = detector.altered_constraints[key]
        # Of these only the message differs, and now they are made with it.
        changes["altered_constraints"] = [
            item for item in changes["altered_constraints"] if item not in changes["added_constraints"]
        ]


def without_remade(operations: list[Operation]) -> list[Operation]:
    """Return the operations of a migration without those that make something anew, unless there are no others."""
    removed = {_what(item) for item in operations if isinstance(item, RemoveConstraint | RemoveIndex)}
    added = {_what(item) for item in operations if isinstance(item, AddConstraint | AddIndex)}
    return [item for item in operations if _what(item) not in removed & added] or operations


def _what(operation: Any) -> tuple[str, str] | None:
    """Return model and name of the constraint or index that an operation is about."""
    if not isinstance(operation, AddConstraint | AddIndex | RemoveConstraint | RemoveIndex):
        return None
    item = getattr(operation, "constraint", None) or getattr(operation, "index", None) or operation
    return operation.model_name_lower, item.name


def _is_concerned(detector: Any, key: ModelKey) -> bool:
    return key not in detector.views and is_concerned(detector.declared_apps.get_model(*key))


def _reads_changed(item: Any, old: tuple[ProjectState, ModelState], new: tuple[ProjectState, ModelState]) -> bool:
    """Tell whether an expression of the constraint or index names a field whose column gets its type again."""
    named = set(_named(item))
    before, after = old[1].fields, new[1].fields
    return any(
        name in before and (is_set_anew(before[name], field) or is_set_anew(_typing(*old, name), _typing(*new, name)))
        for name, field in after.items()
        if named & _names(name, field)
    )


def _typing(state: ProjectState, model: ModelState, name: str) -> AnyField:
    """Return the field that a column has its type from: the key that a foreign key refers to, however indirectly.

    Only within an app: what is done in another one may come later.
    """
    field = model.fields[name]
    if not isinstance(field, ForeignKey):
        return field
    key = resolve_relation(field.remote_field.model, model.app_label, model.name_lower)
    if key not in state.models or key[0] != model.app_label:
        return field
    target = state.models[key]
    keys = [one for one, other in target.fields.items() if other.primary_key]
    wanted = field.remote_field.field_name or next(iter(keys), None)
    return _typing(state, target, wanted) if wanted in target.fields else field


def _names(name: str, field: AnyField) -> set[str]:
    return {name, *([f"{name}_id"] if field.is_relation else []), *(["pk"] if field.primary_key else [])}


def _named(item: Any) -> Iterator[str]:
    """Yield the names of the fields in the expressions. A column that is named alone needs no cast."""
    for part in (*getattr(item, "expressions", ()), getattr(item, "condition", None)):
        expression = part[0] if isinstance(part, tuple) else part  # an ExclusionConstraint has operators, too
        for path in Model._get_expr_references(expression):
            yield path[0]
