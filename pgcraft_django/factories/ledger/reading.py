"""Balances and their course over time, as querysets. What can be read from a balance row is not summed up."""

import datetime
from typing import Any, Self

from asgiref.sync import sync_to_async
from django.db import models, router
from django.db.models import Window

from pgcraft_django.attribution.acting import acting_role, readable_columns
from pgcraft_django.columns import column_name
from pgcraft_django.errors import RoleError
from pgcraft_django.factories.base import Instance, check_moment, lookups
from pgcraft_django.factories.ledger.rollups import RollingQuerySet
from pgcraft_django.factories.ledger.shape import balances_of, total_field, value_field
from pgcraft_django.factories.ledger.verifying import Difference, checkpoint, verify
from pgcraft_django.plugins.base import option


class Reading(RollingQuerySet[Instance]):
    """What a ledger can be asked."""

    def as_of(self, when: datetime.datetime) -> Self:
        """Return the entries that were booked until `when`, which has a time zone; `ValueError` if it has none."""
        check_moment(when)
        return self.filter(created_at__lte=when)

    def balance(self, **dimensions: Any) -> Any:
        """Return the balance of the entries that have `dimensions`, a number; 0 if there are none.

        It is read from its row if a `Balance` of the ledger has exactly these dimensions, and else summed up.
        """
        kept = None if self._is_restricted() else self._kept(frozenset(map(self._field_name, dimensions)))
        total = None
        if kept is not None:
            found = kept._base_manager.using(self.db).filter(**lookups(dimensions))
            total = found.values_list("balance", flat=True).first()
        if kept is None or (total is None and self._may_hide_balances()):
            total = self.filter(**lookups(dimensions)).aggregate(total=self._sum())["total"]
        return total_field(value_field(self.model)).to_python(0 if total is None else total)

    async def abalance(self, **dimensions: Any) -> Any:
        """Do what `balance()` does, in asynchronous code."""
        return await sync_to_async(self.balance)(**dimensions)

    def balances(self, *dimensions: str) -> Any:
        """Return a queryset: a dict for each group of entries with the same `dimensions`, and their `balance`.

        Without `dimensions`, those of the ledger's first `Balance`. If it has none, all entries are one group. Raises
        `ValueError` for a dimension that is called `balance`.
        """
        names = self._names(dimensions)
        self._check_names(names, "balance")
        if not names:
            whole = self.order_by().values(whole_=models.Value(True))  # no field may be called so
            return whole.annotate(balance=self._sum()).values("balance")
        kept = None if self._is_restricted() else self._kept(frozenset(names))
        if kept is not None and not self._may_hide_balances():
            rows = kept._base_manager.using(self.db)
            return rows.order_by(*names).values(*names, "balance")
        return self.order_by(*names).values(*names).annotate(balance=self._sum())

    def running_balance(self, *dimensions: str) -> Self:
        """Return the entries in order, each with the `running_balance` of its group after it.

        Entries of other groups can be filtered out before; entries of a group that are filtered out do not count.
        """
        window = Window(
            self._sum(),
            partition_by=self._groups(dimensions),
            order_by=models.F("id").asc(),
        )
        return self.annotate(running_balance=window).order_by("id")

    def latest(self, *fields: Any, per: Any = None) -> Any:
        """Return the last entry of each group with the same dimensions `per`, a list: a queryset.

        With `fields`, or `get_latest_by` in `class Meta`, and without `per`, it is Django's `latest()`. Raises
        `TypeError` for both.
        """
        if fields and per is not None:
            raise TypeError(
                "latest() takes fields to order by, or per=[…] for the last entry of each group, and not both."
            )
        per = [per] if isinstance(per, str) else per
        if per is None and (fields or self.model._meta.get_latest_by):
            return super().latest(*fields)
        names = self._names(tuple(per or ()))
        return self.order_by(*names, "-id").distinct(*names) if names else self.order_by("-id")[:1]

    def verify(self, *, full: bool = False) -> list[Difference]:
        """Return the balances of the whole ledger that are not what the entries add up to; none if all is right.

        With `DoubleEntry`, entries whose debits and credits differ too. It begins at the last `checkpoint()`, or with
        the first entry if `full`. Raises `RoleError` in `as_role()`: a request sees a part.
        """
        self._check_whole("verify", self.db)
        return verify(self.model, self.db, full=full)

    def checkpoint(self) -> list[Difference]:
        """Verify, and if all is right, let `verify()` begin here the next time. Returns what it does.

        Raises Django's `OperationalError` if somebody has been booking for too long, and `RoleError` in `as_role()`.
        """
        self._check_whole("checkpoint", self._writing)
        return checkpoint(self.model, self._writing)

    @property
    def _writing(self) -> str:
        return self._db or router.db_for_write(self.model, **self._hints)  # type: ignore[attr-defined]

    def _kept(self, names: frozenset[str]) -> Any:
        """Return the model whose rows are the balances of these dimensions, or None."""
        found: Any = balances_of(self.model).values()
        if acting_role(self.db) is not None:  # a request reads what it may, and otherwise adds up the entries
            needed = {"balance", *names}
            found = [item for item in found if needed <= _readable_names(item, self.db)]
        return next((companion for companion in found if frozenset(companion.pgcraft_dimensions) == names), None)

    def _may_hide_balances(self) -> bool:
        """Tell whether policies may hide a balance from a request that sees entries of it."""
        return bool(option(self.model, "policies") and readable_columns(self.model, self.db))

    def _check_whole(self, method: str, using: str) -> None:
        """Raise `RoleError` in `as_role()`."""
        if acting_role(using) is not None:
            raise RoleError(f"{method}() looks at the whole ledger, which no request may: call it outside as_role().")

    def _is_restricted(self) -> bool:
        """Tell whether other entries than all of them are meant."""
        query = self.query
        return bool(query.where or query.is_sliced or query.distinct or query.combinator or query.is_empty())


def _readable_names(model: Any, using: str) -> set[str]:
    columns = readable_columns(model, using) or ()
    return {field.name for field in model._meta.local_concrete_fields if column_name(field) in columns}
