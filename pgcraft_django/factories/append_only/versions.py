"""Former versions in the ORM: what they differ in, what has changed when, and how to get one back."""

import datetime
from typing import TYPE_CHECKING, Any, overload

from asgiref.sync import sync_to_async
from django.db import models, router, transaction


class VersionQuerySet(models.QuerySet[Any]):
    """Former versions, of one entity or of all."""

    def changed_between(self, begin: datetime.datetime, end: datetime.datetime) -> "VersionQuerySet":
        """Return the versions that were replaced or deleted from `begin` on and before `end`."""
        return self.filter(valid_to__gte=begin, valid_to__lt=end)


if TYPE_CHECKING:  # most type checkers do not know what from_queryset() returns

    class VersionManager(VersionQuerySet, models.Manager[Any]):  # type: ignore[misc]
        """A manager with the methods of the queryset."""
else:
    VersionManager = models.Manager.from_queryset(VersionQuerySet)


class History:
    """`Student.history`: the versions of all students, a manager; `student.history`: those of one, a queryset."""

    def __init__(self, model: type[models.Model]) -> None:
        self.model = model

    @overload
    def __get__(self, instance: None, owner: type[models.Model]) -> VersionManager: ...

    @overload
    def __get__(self, instance: models.Model, owner: type[models.Model]) -> VersionQuerySet: ...

    def __get__(self, instance: models.Model | None, owner: type[models.Model]) -> Any:
        if instance is None:
            return self.model._default_manager
        database = instance._state.db or router.db_for_read(self.model)
        versions = VersionQuerySet(self.model, using=database)
        return versions.filter(**{field.name: getattr(instance, field.attname) for field in instance._meta.pk_fields})


class Version:
    """What a former version can do."""

    pgcraft_owner: Any
    _meta: Any
    _state: Any

    def diff(self, other: Any = None) -> dict[str, tuple[Any, Any]]:
        """Return field -> (value here, value in `other`) where they differ.

        `other` is another version or an instance of the model; by default what came next: the following version, or
        the row as it is now. For the last version of a deleted row, all values go to None. Raises `TypeError` for
        anything else.
        """
        if other is None:
            other = self._next()
        elif not isinstance(other, type(self) | self.pgcraft_owner):
            raise TypeError(f"A version is compared with another version or a {self.pgcraft_owner.__name__}.")
        found = {}
        for field in self._copied():
            here, there = getattr(self, field.attname), getattr(other, field.attname, None)
            if here != there:
                found[field.name] = (here, there)
        return found

    def restore(self) -> Any:
        """Make the row as it was in this version, also if it is deleted; return it. That makes a version, too.

        Like `update()`, it neither calls `save()` nor sends signals.
        """
        keys = {field.attname: getattr(self, field.attname) for field in self.pgcraft_owner._meta.pk_fields}
        fields = [field for field in self._copied() if not field.generated]
        values = {field.attname: self._stored(field) for field in fields}
        using = router.db_for_write(self.pgcraft_owner, instance=self)  # the version may be from a replica
        rows = self.pgcraft_owner._base_manager.using(using)
        with transaction.atomic(using=using):
            others = {name: value for name, value in values.items() if name not in keys}
            there = rows.filter(**keys)
            # Asked first, because a request that may only insert is refused an UPDATE, also of no rows.
            if not (there.exists() and there.update(**others)):
                # Raw, as fixtures are: otherwise Django would fill in the time, and the place among others.
                rows._insert([self.pgcraft_owner(**values)], fields, raw=True, using=using)
            return rows.get(**keys)

    async def arestore(self) -> Any:
        """Do what `restore()` does, in asynchronous code."""
        return await sync_to_async(self.restore)()

    def _stored(self, field: Any) -> Any:
        """Return a value as it is written: None may be SQL's NULL or JSON's null, and only PostgreSQL knows which."""
        value = getattr(self, field.attname)
        if value is None and isinstance(field, models.JSONField):
            own = type(self)._base_manager.using(self._state.db).filter(pk=self.pk)  # type: ignore[attr-defined]
            if own.filter(**{f"{field.attname}__isnull": False}).exists():
                return models.Value(None, models.JSONField())
        return value

    def _copied(self) -> list[Any]:
        fields = self.pgcraft_owner._meta.local_concrete_fields
        return [field for field in fields if field.name not in self.pgcraft_owner.pgcraft_factory.stamped]

    def _next(self) -> Any:
        keys = {field.attname: getattr(self, field.attname) for field in self.pgcraft_owner._meta.pk_fields}
        versions = type(self)._base_manager.using(self._state.db).filter(**keys)  # type: ignore[attr-defined]
        following = versions.filter(version__gt=self.version).order_by("version").first()  # type: ignore[attr-defined]
        return following or self.pgcraft_owner._base_manager.using(self._state.db).filter(**keys).first()
