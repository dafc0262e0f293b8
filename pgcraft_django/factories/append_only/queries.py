"""The rows as they were: a queryset of the model itself whose table is what was valid at a time."""

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models.sql import Query
from django.db.models.sql.datastructures import BaseTable

from pgcraft_django.attribution.acting import readable_columns
from pgcraft_django.columns import column_name
from pgcraft_django.factories.append_only.objects import STAMPS
from pgcraft_django.factories.base import Instance, check_moment, fields_to_insert
from pgcraft_django.naming import quote_name, quote_names


class _FormerTable(BaseTable):
    """In the place of the model's table: its current and former rows that were valid at `when`.

    Without `when`, those that are deleted, each as it was last, with the `valid_to` and `operation` of that version.
    """

    def __init__(self, table_name: str, alias: str, model: type[models.Model], when: datetime.datetime | None) -> None:
        super().__init__(table_name, alias)
        self.model: Any = model._meta.concrete_model
        self.when = when

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        quote = getattr(compiler, "quote_name", None) or compiler.quote_name_unless_alias  # before Django 6.1
        rows, parameters = (self._deleted if self.when is None else self._valid)(connection.alias)
        return f"({rows}) {quote(self.table_alias)}", parameters

    def _valid(self, using: str) -> tuple[str, list[Any]]:
        table, history, columns = self._names(using)
        return (
            f"SELECT {columns} FROM {table} WHERE valid_from <= %s"
            f" UNION ALL SELECT {columns} FROM {history} WHERE valid_from <= %s AND valid_to > %s",
            [self.when] * 3,
        )

    def _deleted(self, using: str) -> tuple[str, list[Any]]:
        table, history, columns = self._names(using)
        keys = [quote_name(field.column) for field in self.model._meta.pk_fields]
        is_now, is_later = (
            " AND ".join(f"{other}.{key} = {history}.{key}" for key in keys) for other in ("now", "later")
        )
        # Unlike DISTINCT ON, this lets PostgreSQL begin with what ended last, and stop when a page is full.
        return (
            f"SELECT {columns}, valid_to, operation FROM {history}"
            f" WHERE NOT EXISTS (SELECT FROM {table} AS now WHERE {is_now})"
            f" AND NOT EXISTS (SELECT FROM {history} AS later WHERE {is_later} AND later.version > {history}.version)",
            [],
        )

    def _names(self, using: str) -> tuple[str, str, str]:
        columns = [column_name(field) for field in self.model._meta.local_concrete_fields]
        former = self.model.history.model
        for relation in (self.model, former):
            # A request finds what is exposed to it; where that is nothing, PostgreSQL tells it so.
            if exposed := readable_columns(relation, using):
                columns = [column for column in columns if column in exposed]
        return quote_name(self.table_name), quote_name(former._meta.db_table), quote_names(columns)

    def relabeled_clone(self, change_map: dict[str | None, str]) -> "_FormerTable":
        alias: Any = change_map.get(self.table_alias, self.table_alias)
        return type(self)(self.table_name, alias, self.model, self.when)

    @property
    def identity(self) -> tuple[Any, ...]:
        return (*super().identity, self.when)


class _PastQuery(Query):
    """Groups by all columns, also where Django would by the key alone: of what is no table, PostgreSQL knows none."""

    def get_compiler(self, *args: Any, **options: Any) -> Any:
        compiler: Any = super().get_compiler(*args, **options)
        compiler.collapse_group_by = lambda expressions, having: expressions
        return compiler


def former_rows(rows: models.QuerySet[Any], when: datetime.datetime | None) -> Any:
    """Return the queryset of the same rows as they were at `when`; without it, of those that are deleted."""
    clone: Any = rows._chain()  # type: ignore[attr-defined]
    clone.query = clone.query.chain(_PastQuery)
    alias = clone.query.get_initial_alias()
    clone.query.alias_map[alias] = _FormerTable(rows.model._meta.db_table, alias, rows.model, when)
    return clone


class HistoryQuerySet(models.QuerySet[Instance]):
    """A queryset that can go back in time."""

    _as_of: datetime.datetime | None = None

    def as_of(self, when: datetime.datetime) -> Self:
        """Return the rows as they were at `when`, deleted ones included, to filter, order, count and slice.

        Related models are as they are now, and so are fields that `only()` or `defer()` leave for later. Raises
        `ValueError` if `when` has no time zone, and `TypeError` where the past would be written to, locked, or combined
        with another time by `|`, `&` or `^`.
        """
        check_moment(when)
        self._not_support_combined_queries("as_of")  # type: ignore[attr-defined]
        clone = former_rows(self, when)
        clone._as_of = when
        if clone.query.select_for_update:
            clone._refuse_past()
        return clone  # type: ignore[no-any-return]

    def _clone(self) -> Self:
        clone = super()._clone()  # type: ignore[misc]
        clone._as_of = self._as_of
        return clone  # type: ignore[no-any-return]

    def _refuse_past(self) -> None:
        if self._as_of is not None:
            raise TypeError(
                "Rows as they were cannot be written or locked. Use version.restore(), or a queryset without as_of()."
            )

    def _merge_sanity_check(self, other: Any) -> None:
        super()._merge_sanity_check(other)  # type: ignore[misc]
        if self._as_of != getattr(other, "_as_of", None):
            raise TypeError("Rows of different times cannot be combined. Use union().")

    def _insert(self, objs: Any, fields: Any, **options: Any) -> Any:
        given = fields if options.get("raw") else fields_to_insert(objs, fields, STAMPS)
        return super()._insert(objs, given, **options)  # type: ignore[misc]

    def select_for_update(self, *args: Any, **options: Any) -> Self:
        self._refuse_past()
        return super().select_for_update(*args, **options)

    def create(self, **values: Any) -> Instance:
        self._refuse_past()
        return super().create(**values)

    def bulk_create(self, objs: Iterable[Any], *args: Any, **options: Any) -> list[Instance]:
        self._refuse_past()
        return super().bulk_create(objs, *args, **options)

    def update(self, **values: Any) -> int:
        self._refuse_past()
        return super().update(**values)

    def delete(self) -> tuple[int, dict[str, int]]:
        self._refuse_past()
        return super().delete()

    update.alters_data = True  # type: ignore[attr-defined]
    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


if TYPE_CHECKING:  # most type checkers do not know what from_queryset() returns

    class HistoryManager(HistoryQuerySet[Instance], models.Manager[Instance]):  # type: ignore[misc]
        """A manager with the methods of the queryset."""
else:
    HistoryManager = models.Manager.from_queryset(HistoryQuerySet)
