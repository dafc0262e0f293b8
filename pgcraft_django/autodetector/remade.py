"""Constraints and indexes with expressions over a column whose type changes: removed before, and added after.

PostgreSQL would carry them over by itself: it reads the expression, with casts where the new type needs some, and they
stay when the type comes back. Then it is another expression than in a new database, and an index of it serves no query
any more. And where no cast helps, as from text to a number, the type could not be changed.
"""

# django-stubs leaves out what subclasses of the autodetector work with.
# mypy: disable-error-code="attr-defined, misc, override, arg-type, union-attr"

from collections.abc import Iterator
from typing import Any

from django.db.migrations.operations import AddConstraint, AddIndex, RemoveConstraint, RemoveIndex
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState
from django.db.models import Model

from pgcraft_django.autodetector.tables import ModelKey
from pgcraft_django.columns import AnyField, is_set_anew
from pgcraft_django.registry import is_concerned


def remake_expressions(detector: Any) -> None:
    """Let the detector remove and add the constraints and indexes that stay the same while a column under them changes.

    It has found out what to do with those that differ, and writes the operations afterwards.
    """
    for key in sorted(ModelKey(*key) for key in detector.kept_model_keys):
        before = detector.renamed_models.get(tuple(key), key.name).lower()
        old, new = detector.from_state.models[key.app_label, before], detector.to_state.models[tuple(key)]
        if not (new.options["constraints"] or new.options["indexes"]) or not _is_concerned(detector, key):
            continue
        for option, found in (("constraints", detector.altered_constraints), ("indexes", detector.altered_indexes)):
            changes = found[tuple(key)]
            same = {item.name: item for item in old.options[option] if item not in changes[f"removed_{option}"]}
            for item in new.options[option]:
                if item.name in same and item not in changes[f"added_{option}"] and _reads_changed(item, old, new):
                    changes[f"removed_{option}"].append(same[item.name])
                    changes[f"added_{option}"].append(item)
        changes = detector.altered_constraints[tuple(key)]
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


def _reads_changed(item: Any, old: ModelState, new: ModelState) -> bool:
    """Tell whether an expression of the constraint or index names a field whose column gets its type again.

    A foreign key that takes over the new type of its target is not looked at.
    """
    named = set(_named(item))
    return any(
        name in old.fields and is_set_anew(old.fields[name], field)
        for name, field in new.fields.items()
        if named & _names(name, field)
    )


def _names(name: str, field: AnyField) -> set[str]:
    return {name, *([f"{name}_id"] if field.is_relation else []), *(["pk"] if field.primary_key else [])}


def _named(item: Any) -> Iterator[str]:
    """Yield the names of the fields in the expressions. A column that is named alone needs no cast."""
    for part in (*getattr(item, "expressions", ()), getattr(item, "condition", None)):
        expression = part[0] if isinstance(part, tuple) else part  # an ExclusionConstraint has operators, too
        for path in Model._get_expr_references(expression):
            yield path[0]
