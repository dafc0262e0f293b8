"""Who sees the rows of a companion model, such as a history or a log: those who see the row that they are about.

Where it has copies of the columns that a policy reads, they decide, so that the past of a row belongs to whom it
belonged to then; where it has a copy of the key, the row as it is now decides; else it is closed. A key can be used
again: what a log says of a former row with it is nobody's then.
"""

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import FieldError
from django.db import models

from pgcraft_django.columns import AnyField, column_name, column_types, is_indexed
from pgcraft_django.factories.base import get_factory
from pgcraft_django.factories.companion import copied_names
from pgcraft_django.naming import quote_name, shorten
from pgcraft_django.objects import Index
from pgcraft_django.policies.conditions import Rendered, in_keys, keys_of, named, render
from pgcraft_django.policies.declaration import Condition, Policy
from pgcraft_django.registry import table_schema


def visible_rows(model: type[models.Model], owner: Any, policy: Policy, name: str) -> Rendered | None:
    """Return the condition on rows of the companion that a policy of its owner comes to; None if it is closed.

    `name` is what its functions begin with.
    """
    if policy.using is None:
        return None
    copies, former = copied_names(model), get_factory(model).former
    needed = {field.name for field in render(owner, policy.using, name).fields}
    visible = None
    written = owner.pgcraft_factory.stamped - {owner._meta.pk.name}  # a companion has a key of its own
    if needed - written <= copies.keys():
        visible = _of_copies(model, named(policy.using, owner._meta.pk.name), needed, name)
        if visible is None and former is None:
            return None  # it has versions of several rows with a key
    if visible is None:
        copy = copies.get(owner._meta.pk.name)
        if copy is None:
            return None
        keys = keys_of(table_schema(model), name, owner._meta.pk, policy.using)
        visible = Rendered(in_keys(quote_name(column_name(copy)), keys), [copy], [keys])
    if former is None or not needed:
        return visible
    mark: AnyField = model._meta.get_field(former)  # type: ignore[assignment]
    condition = f"({visible.sql}) AND NOT {quote_name(column_name(mark))}"
    return Rendered(condition, [*visible.fields, mark], visible.functions)


def _of_copies(model: type[models.Model], condition: Condition, needed: set[str], name: str) -> Rendered | None:
    """Return the condition on copies; None if it is about something else, by the same names."""
    try:
        visible = render(model, condition, name)
    except FieldError:  # rows that refer to the owner's do not refer to copies
        return None
    return visible if isinstance(condition, str) or {field.name for field in visible.fields} == needed else None


def indexes(model: type[models.Model], owner: Any, visible: Rendered) -> Iterator[Index]:
    """Yield an index of the companion for each column that the condition reads and that the owner has a B-tree for."""
    originals = {copy: owner._meta.get_field(name) for name, copy in copied_names(model).items()}
    schema, table = table_schema(model), model._meta.db_table
    for field in visible.fields:
        original = originals.get(field)
        if original is not None and is_indexed(owner, original, ordered=True) and not is_indexed(model, field):
            column = column_name(field)
            yield Index(
                schema=schema,
                table=table,
                name=shorten(f"{table}_{column}_policy"),
                definition=f"({quote_name(column)})",
                reads={quote_name(schema, table): column_types([field])},
            )
