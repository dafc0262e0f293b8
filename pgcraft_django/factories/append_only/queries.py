"""The rows as they were: a queryset of the model itself whose table is what was valid at a time."""

import datetime
from collections.abc import Sequence
from typing import Any, Self

from django.db import models
from django.db.models.expressions import DatabaseDefault
from django.db.models.sql.datastructures import BaseTable

from pgcraft_django.factories.append_only.objects import STAMPS
from pgcraft_django.factories.base import check_moment
from pgcraft_django.naming import quote_name


class _FormerTable(BaseTable):
    """In the place of the model's table: its current and former rows that were valid at `when`."""

    def __init__(self, table_name: str, alias: str, model: type[models.Model], when: datetime.datetime) -> None:
        super().__init__(table_name, alias)
        self.model = model
        self.when = when

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        columns = ", ".join(quote_name(field.column) for field in self.model._meta.local_concrete_fields)
        history = quote_name(self.model.history.model._meta.db_table)  # type: ignore[attr-defined]
        quote = getattr(compiler, "quote_name", None) or compiler.quote_name_unless_alias  # before Django 6.1
        alias = quote(self.table_alias)
        return (
            f"(SELECT {columns} FROM {quote_name(self.table_name)} WHERE valid_from <= %s"
            f" UNION ALL SELECT {columns} FROM {history} WHERE valid_from <= %s AND valid_to > %s) {alias}",
            [self.when] * 3,
        )

    def relabeled_clone(self, change_map: dict[str | None, str]) -> "_FormerTable":
        alias: Any = change_map.get(self.table_alias, self.table_alias)
        return type(self)(self.table_name, alias, self.model, self.when)

    @property
    def identity(self) -> tuple[Any, ...]:
        return (*super().identity, self.when)


def _inserted_fields(rows: Sequence[models.Model], fields: Sequence[Any]) -> Sequence[Any]:
    """Return `fields` without those that the database fills in all `rows`; never none, for want of such an INSERT.

    `rows` that were read bring the stamps of their originals, which are not theirs.
    """
    given = [
        field
        for field in fields
        if field.name not in STAMPS
        and not all(isinstance(getattr(row, field.attname), DatabaseDefault) for row in rows)
    ]
    return given or fields


class HistoryQuerySet(models.QuerySet[Any]):
    """A queryset that can go back in time."""

    _as_of: datetime.datetime | None = None

    def as_of(self, when: datetime.datetime) -> Self:
        """Return the rows as they were at `when`, deleted ones included, to filter, order, count and slice.

        Related models are as they are now. Raises `ValueError` if `when` has no time zone, and `TypeError` where the
        past would be written to.
        """
        check_moment(when)
        clone = self._chain()  # type: ignore[attr-defined]
        alias = clone.query.get_initial_alias()
        clone.query.alias_map[alias] = _FormerTable(self.model._meta.db_table, alias, self.model, when)
        clone._as_of = when
        return clone  # type: ignore[no-any-return]

    def _clone(self) -> Self:
        clone = super()._clone()  # type: ignore[misc]
        clone._as_of = self._as_of
        return clone  # type: ignore[no-any-return]

    def _refuse_past(self) -> None:
        if self._as_of is not None:
            raise TypeError(
                "Rows as they were cannot be written. Use version.restore(), or a queryset without as_of()."
            )

    def _insert(self, objs: Any, fields: Any, **options: Any) -> Any:
        return super()._insert(objs, fields if options.get("raw") else _inserted_fields(objs, fields), **options)  # type: ignore[misc]

    def update(self, **values: Any) -> int:
        self._refuse_past()
        return super().update(**values)

    def delete(self) -> tuple[int, dict[str, int]]:
        self._refuse_past()
        return super().delete()

    update.alters_data = True  # type: ignore[attr-defined]
    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


HistoryManager = models.Manager.from_queryset(HistoryQuerySet)
