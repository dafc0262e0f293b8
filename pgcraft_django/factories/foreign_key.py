"""A foreign key to a model of whatever factory, also one whose relation is a view.

PostgreSQL has no foreign keys to views, so the constraint is one to the table behind it. Migrations have a plain
`ForeignKey`: without a constraint where the package makes it.
"""

from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage
from django.db import models

from pgcraft_django.columns import column_name, column_types
from pgcraft_django.factories.base import get_factory
from pgcraft_django.naming import quote_name, shorten
from pgcraft_django.objects import Constraint

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    _Set = TypeVar("_Set", default=Any)
    _Get = TypeVar("_Get", default=Any)
else:
    from typing import TypeVar

    _Set, _Get = TypeVar("_Set"), TypeVar("_Get")

KEEPING = {models.PROTECT, models.RESTRICT, models.DO_NOTHING}
"""What a foreign key does to its row when what it refers to is deleted: nothing, as rows take it that never change."""


class PGCraftForeignKey(models.ForeignKey[_Set, _Get]):
    """A `ForeignKey` that also works when the target model's relation is a view."""

    db_constraint: bool

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _, arguments, keywords = super().deconstruct()
        if refers_to_view(self):
            keywords["db_constraint"] = False
        return name, "django.db.models.ForeignKey", arguments, keywords

    def _check_unique(self, **kwargs: Any) -> list[CheckMessage]:
        """Recommend a `OneToOneField`, as Django does, where that is possible, and not for a companion too."""
        return [] if refers_to_view(self) or hasattr(self.model, "pgcraft_owner") else super()._check_unique(**kwargs)  # type: ignore[misc]


def refers_to_view(field: Any) -> bool:
    """Tell whether the field leads to a model whose relation is a view."""
    target = field.remote_field.model if field.is_relation and field.remote_field else None
    return isinstance(target, type) and get_factory(target).has_view


def database_action(field: Any) -> str | None:
    """Return what the database does when the row goes that a foreign key refers to, such as `CASCADE` of `DB_CASCADE`.

    Django has these from 6.1 on. What it does itself is None.
    """
    action: str | None = getattr(field.remote_field.on_delete, "operation", None)
    return action


def reference(field: Any, schema: str, target_schema: str) -> Constraint:
    """Return the constraint of a `PGCraftForeignKey` to the key of a model whose relation is a view."""
    target = field.related_model
    table, behind = field.model._meta.db_table, get_factory(target).source(target, target_schema, [field.target_field])
    column, key = column_name(field), column_name(field.target_field)
    on_delete = f" ON DELETE {action}" if (action := database_action(field)) else ""
    return Constraint(
        schema=schema,
        table=table,
        name=shorten(f"{table}_{column}_fk"),
        definition=(
            f"FOREIGN KEY ({quote_name(column)}) "
            f"REFERENCES {quote_name(target_schema, behind.table)} ({quote_name(key)}){on_delete}"
            " DEFERRABLE INITIALLY DEFERRED"
        ),
        requires=[("relation", target_schema, behind.table)],
        reads={quote_name(schema, table): column_types([field]), **behind.reads},
    )
