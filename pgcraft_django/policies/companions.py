"""Who sees the rows of a companion model, such as a history or a log: those who see the row that they are about.

Where it has copies of the columns that a policy reads, they decide, so that the past of a row belongs to whom it
belonged to then; where it has a copy of the key, the row as it is now decides; else it is closed. A key can be used
again: what a log says of a former row with it is nobody's then.
"""

from collections.abc import Iterator
from typing import Any

from django.db import models

from pgcraft_django.columns import AnyField, column_name, column_types, is_indexed
from pgcraft_django.factories.base import get_factory
from pgcraft_django.factories.companion import copied_names
from pgcraft_django.naming import quote_name, shorten
from pgcraft_django.objects import Index
from pgcraft_django.policies.conditions import Rendered, in_keys, keys_of, render
from pgcraft_django.policies.declaration import Policy
from pgcraft_django.registry import table_schema


def visible_rows(model: type[models.Model], owner: Any, policy: Policy, name: str) -> Rendered | None:
    """Return the condition on rows of the companion that a policy of its owner comes to; None if it is closed.

    `name` is what its functions begin with.
    """
    if policy.using is None:
        return None
    copies, former = copied_names(model), get_factory(model).former
    needed = {field.name for field in render(owner, policy.using, name).fields}
    if needed - owner.pgcraft_factory.stamped <= copies.keys():
        return render(model, policy.using, name)
    if owner._meta.pk.name not in copies:
        return None
    copy = copies[owner._meta.pk.name]
    visible = keys_of(table_schema(model), name, owner._meta.pk, policy.using)
    condition, read = in_keys(quote_name(column_name(copy)), visible), [copy]
    if former is not None:
        mark: AnyField = model._meta.get_field(former)  # type: ignore[assignment]
        condition += f" AND NOT {quote_name(column_name(mark))}"
        read.append(mark)
    return Rendered(condition, read, [visible])


def indexes(model: type[models.Model], owner: Any, visible: Rendered) -> Iterator[Index]:
    """Yield an index of the companion for each column that the condition reads and that the owner has an index for."""
    originals = {copy: owner._meta.get_field(name) for name, copy in copied_names(model).items()}
    schema, table = table_schema(model), model._meta.db_table
    for field in visible.fields:
        original = originals.get(field)
        if original is not None and is_indexed(owner, original) and not is_indexed(model, field):
            column = column_name(field)
            yield Index(
                schema=schema,
                table=table,
                name=shorten(f"{table}_{column}_policy"),
                definition=f"({quote_name(column)})",
                reads={quote_name(schema, table): column_types([field])},
            )
