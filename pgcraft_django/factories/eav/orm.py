"""Entities in the ORM: updates that nobody overtakes, and the log of attributes."""

import datetime
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, overload

from django.core.exceptions import EmptyResultSet
from django.core.management.color import no_style
from django.db import NotSupportedError, OperationalError, connections, models, router, transaction

from pgcraft_django.attribution.acting import acting_role
from pgcraft_django.diagnosis import SERIALIZATION_FAILURE, sqlstate
from pgcraft_django.factories.base import Instance
from pgcraft_django.factories.fixtures import LoadedModel
from pgcraft_django.plugins.base import option

ATTEMPTS = 10
"""How often a request writes that cannot lock."""


class EAVQuerySet(models.QuerySet[Instance]):
    """A queryset whose updates and deletions wait for the updates of others, as they do with tables.

    An UPDATE of a view computes new values from the rows as it has found them. Where somebody else changes them in
    that moment, PostgreSQL raises a serialization failure. So, within a transaction, the rows are locked first; outside
    of one, nothing is lost by just trying.
    """

    def _check_bulk_create_options(self, ignore_conflicts: bool, update_conflicts: bool, *args: Any) -> Any:
        if ignore_conflicts or update_conflicts:
            raise NotSupportedError(
                f"bulk_create() of {self.model.__name__} cannot ignore or update conflicts, because its relation is a "
                "view. Use get_or_create() or update_or_create() for each row."
            )
        return super()._check_bulk_create_options(ignore_conflicts, update_conflicts, *args)  # type: ignore[misc]

    def update(self, **values: Any) -> int:
        # In one order, so that of two who change the same rows, neither waits for the other's.
        return self._write(lambda: super(EAVQuerySet, self).update(**values), "pk")  # type: ignore[no-any-return]

    def _update(self, values: Any, *args: Any) -> Any:  # for save(): of one row
        return self._write(lambda: super(EAVQuerySet, self)._update(values, *args))  # type: ignore[misc]

    def _raw_delete(self, using: Any) -> Any:
        # A DELETE of a view does not look again whether a row that somebody has changed is still to be found. To lock
        # takes the right to update, which a request need not have.
        with transaction.atomic(using=self.db, savepoint=False):
            if acting_role(self.db) is None:
                self._lock("pk")
            return super()._raw_delete(using)

    def update_or_create(self, *args: Any, **values: Any) -> tuple[Instance, bool]:
        self._for_write = True  # as in _write()
        rows: Any = self
        if self._cannot_lock():
            rows = _WithoutLocks(self.model, self.query, self.db, self._hints)  # type: ignore[attr-defined]
        return super(EAVQuerySet, rows).update_or_create(*args, **values)

    def _write(self, write: Callable[[], Any], *order: str) -> Any:
        self._for_write = True  # a router may have another database to read from
        if self._cannot_lock():
            return self._repeat(write)
        if connections[self.db].get_autocommit():
            try:
                return write()
            except OperationalError as error:
                if sqlstate(error) != SERIALIZATION_FAILURE:
                    raise
        with transaction.atomic(using=self.db, savepoint=False):
            self._lock(*order)
            return write()

    def _cannot_lock(self) -> bool:
        """Tell whether a request asks, and may not lock: only with policies it has rights on the table of the view."""
        return acting_role(self.db) is not None and not option(self.model, "policies")

    def _repeat(self, write: Callable[[], Any]) -> Any:
        """Write again if others were faster."""
        for _ in range(ATTEMPTS - 1):
            try:
                with transaction.atomic(using=self.db):
                    return write()
            except OperationalError as error:
                if sqlstate(error) != SERIALIZATION_FAILURE:
                    raise
        return write()

    def _lock(self, *order: str) -> None:
        query = self.query
        if query.is_sliced or query.combinator:
            return  # update() refuses that
        rows: Any = models.QuerySet(self.model, query.chain(), self.db)
        if query.group_by is not None or query.distinct:
            rows = models.QuerySet(self.model, using=self.db).filter(pk__in=rows.order_by().values("pk"))
        rows = rows.order_by(*order).select_for_update(of=("self",), no_key=True).values_list("pk")
        try:
            sql, parameters = rows.query.get_compiler(self.db).as_sql()
        except EmptyResultSet:  # such as pk__in=[]
            return
        with connections[self.db].cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM ({sql}) AS locked", parameters)

    _raw_delete.alters_data = True  # type: ignore[attr-defined]
    update.alters_data = True  # type: ignore[attr-defined]
    update_or_create.alters_data = True  # type: ignore[attr-defined]


class _WithoutLocks(EAVQuerySet[Any]):
    """For a request that may not lock."""

    def select_for_update(self, *args: Any, **options: Any) -> Self:
        return self._chain()  # type: ignore[attr-defined, no-any-return]


if TYPE_CHECKING:  # most type checkers do not know what from_queryset() returns

    class EAVManager(EAVQuerySet[Instance], models.Manager[Instance]):  # type: ignore[misc]
        """A manager with the methods of the queryset."""
else:
    EAVManager = models.Manager.from_queryset(EAVQuerySet)


class SavesEntities(LoadedModel):
    """Abstract base: `save()` writes as `EAVQuerySet` does, and fixtures leave the next key free."""

    class Meta:
        abstract = True

    def pgcraft_load(self, using: str, save: Callable[[], bool]) -> bool:
        updated = save()
        # loaddata would ask the view for its sequence, which is that of the table behind it.
        connection = connections[using]
        entity: Any = type(self).pgcraft_entity  # type: ignore[attr-defined]
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), [entity]):
                cursor.execute(statement)
        return updated

    def _do_update(self, base_qs: "models.QuerySet[Any]", *args: Any, **kwargs: Any) -> Any:
        rows: models.QuerySet[Any] = EAVQuerySet(base_qs.model, base_qs.query.chain(), base_qs.db)
        return super()._do_update(rows, *args, **kwargs)


class LogQuerySet(models.QuerySet[Any]):
    """Changes of attributes, of one entity or of all."""

    def changed_between(self, begin: datetime.datetime, end: datetime.datetime) -> "LogQuerySet":
        """Return the changes that were made from `begin` on and before `end`."""
        return self.filter(at__gte=begin, at__lt=end)


if TYPE_CHECKING:

    class LogManager(LogQuerySet, models.Manager[Any]):  # type: ignore[misc]
        """A manager with the methods of the queryset."""
else:
    LogManager = models.Manager.from_queryset(LogQuerySet)


class History:
    """`Product.history`: the changes of all products, a manager; `product.history`: those of one, a queryset."""

    def __init__(self, log: type[models.Model]) -> None:
        self.model = log

    @overload
    def __get__(self, instance: None, owner: type[models.Model]) -> LogManager: ...

    @overload
    def __get__(self, instance: models.Model, owner: type[models.Model]) -> LogQuerySet: ...

    def __get__(self, instance: models.Model | None, owner: type[models.Model]) -> Any:
        if instance is None:
            return self.model._default_manager
        database = instance._state.db or router.db_for_read(self.model)
        changes = LogQuerySet(self.model, using=database)
        return changes.filter(**{instance._meta.pk.name: instance.pk})
