"""Booking entries: one statement each, all or nothing."""

import datetime
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import localcontext
from typing import TYPE_CHECKING, Any, overload

from asgiref.sync import sync_to_async
from django.db import DatabaseError, IntegrityError, connections, models, transaction
from django.utils import timezone
from django.utils.hashable import make_hashable

from pgcraft_django.attribution.acting import acting_role
from pgcraft_django.diagnosis import CONFLICT, server_message, sqlstate
from pgcraft_django.errors import IdempotencyConflict
from pgcraft_django.factories.base import Instance, fields_to_insert, lookups
from pgcraft_django.factories.ledger.reading import Reading
from pgcraft_django.factories.ledger.shape import (
    CREDIT,
    DEBIT,
    DIRECTION,
    EXACTLY,
    KEY,
    as_amount,
    is_computed,
    is_double_entry,
    is_idempotent,
    partition_interval,
    written_fields,
)
from pgcraft_django.naming import quote_name
from pgcraft_django.plugins.base import option

A_DAY = datetime.timedelta(days=1)
_GROUPS = (
    "reconcile() takes groups of the same dimensions, each once and with its balance, such as "
    '[{"warehouse": "A", "balance": 40}].'
)
_NOT_REACHED = (
    "reconcile() would not come to these balances. PostgreSQL holds a dimension in another way than it is written, as "
    "a number that it rounds, or a text in upper case that it has in lower case: write it as balances() has it. Or "
    "a trigger of your own books something besides."
)


class LedgerQuerySet(Reading[Instance]):
    """A queryset that knows balances, and books entries."""

    @overload
    def record(self, legs: Iterable[Mapping[str, Any]], /, *, idempotency_key: str | None = None) -> list[Instance]: ...

    @overload
    def record(self, legs: None = None, /, *, idempotency_key: str | None = None, **leg: Any) -> Instance: ...

    def record(
        self,
        legs: Iterable[Mapping[str, Any]] | None = None,
        /,
        *,
        idempotency_key: str | None = None,
        **leg: Any,
    ) -> Any:
        """Book one entry: `record(warehouse="A", value=5)`, or several legs of it, `record([{…}, {…}])`.

        Returns the new instance, or a list of them. With an `idempotency_key` that an entry has already, nothing is
        booked and that entry is returned. Raises `IdempotencyConflict` if its content is another one, Django's
        `IntegrityError` if a rule of the ledger is broken, such as a minimum balance, `ValueError` for no leg at all
        and for a value that would be rounded, and `TypeError` for a key where the ledger has none.

        By way of an object, as in `warehouse.inventory_set.record(…)`, legs belong to it unless they say otherwise.
        """
        if (legs is None) == (not leg) or isinstance(legs, Mapping):
            raise TypeError("record() takes the fields of one entry, or a list of legs, and not both.")
        rows = self._book([leg] if legs is None else list(legs), idempotency_key)
        return rows[0] if legs is None else rows

    def transfer(
        self,
        from_: Mapping[str, Any],
        to: Mapping[str, Any],
        /,
        *,
        value: Any,
        idempotency_key: str | None = None,
        **common: Any,
    ) -> list[Instance]:
        """Book `value` from one group to another, as one entry of two legs, which are returned.

        `from_` and `to` are dimensions, `common` what both legs have. With `DoubleEntry`, the legs are a credit and a
        debit. Raises `ValueError` unless `value` is above 0, and what `record()` raises.
        """
        value = as_amount(self.model, value)
        if not value > 0:
            raise ValueError(f"A transfer takes a value above 0, and not {value!r}.")
        with localcontext(EXACTLY):
            ways = [self._leg(-value), self._leg(value)]
        legs = [{**common, **group, **way} for group, way in zip((from_, to), ways, strict=True)]
        return self._book(legs, idempotency_key)

    def reconcile(self, desired: Iterable[Mapping[str, Any]], **common: Any) -> list[Instance]:
        """Make balances what they should be: `reconcile([{"warehouse": "A", "balance": 40}])`.

        Books the differences, as one entry whose legs are returned; where there is none, nothing. `common` is what all
        legs have beside the dimensions. Without dimensions, the one balance is that of all entries. Nobody else can
        book until the transaction ends. Raises `ValueError` if the groups have not all the same dimensions, one comes
        twice or is not written as it is held, `TypeError` for a part of the ledger, `RoleError` in `as_role()`, and
        what `record()` raises.
        """
        self._check_whole("reconcile", self._writing)
        if self._is_restricted():
            raise TypeError(
                "reconcile() looks at the whole ledger: call it without filter(), as_of() or a related object."
            )
        wanted, balances = self._groups_and_balances(list(desired))
        fields: list[Any] = [self.model._meta.get_field(name) for name in (sorted(wanted[0]) if wanted else ())]
        values = [[_plain(field, group[field.name]) for field in fields] for group in wanted]
        keys = [make_hashable(found) for found in values]
        if len(set(keys)) < len(keys):
            raise ValueError(_GROUPS)
        attributes = [field.attname for field in fields]
        table = quote_name(self.model._meta.db_table)
        with transaction.atomic(using=self._writing):
            # Lock first, read in the next statement.
            with connections[self._writing].cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
            there = self._balances_there(wanted)
            with localcontext(EXACTLY):
                legs = [
                    {**common, **dict(zip(attributes, group, strict=True)), **self._leg(balance - there.get(key, 0))}
                    for group, key, balance in zip(values, keys, balances, strict=True)
                    if balance != there.get(key, 0)
                ]
            if not legs:
                return []
            rows = self._book(legs, None)
            # Which groups are the same is for PostgreSQL to say.
            there = self._balances_there(wanted)
            if any(there.get(key, 0) != balance for key, balance in zip(keys, balances, strict=True)):
                raise ValueError(_NOT_REACHED)
            return rows

    def _groups_and_balances(self, desired: Sequence[Any]) -> tuple[list[dict[str, Any]], list[Any]]:
        """Return what `reconcile()` is asked for: the dimensions of each group, by names of fields, and its balance."""
        if any(not isinstance(group, Mapping) or group.get("balance") is None for group in desired):
            raise ValueError(_GROUPS)
        balances = [as_amount(self.model, group["balance"]) for group in desired]
        groups = [
            {self._field_name(name): value for name, value in group.items() if name != "balance"} for group in desired
        ]
        if any(group.keys() != groups[0].keys() for group in groups):
            raise ValueError(_GROUPS)
        return groups, balances

    async def arecord(self, *legs: Any, **said: Any) -> Any:
        """Do what `record()` does, in asynchronous code."""
        return await sync_to_async(self.record)(*legs, **said)

    async def atransfer(self, *groups: Any, **said: Any) -> list[Instance]:
        """Do what `transfer()` does, in asynchronous code."""
        return await sync_to_async(self.transfer)(*groups, **said)

    async def areconcile(self, desired: Iterable[Mapping[str, Any]], **common: Any) -> list[Instance]:
        """Do what `reconcile()` does, in asynchronous code."""
        return await sync_to_async(self.reconcile)(desired, **common)

    def _insert(self, objs: Any, fields: Any, **options: Any) -> Any:
        return super()._insert(objs, fields_to_insert(objs, fields), **options)  # type: ignore[misc]

    def _batched_insert(self, objs: Any, *args: Any, on_conflict: Any = None, **options: Any) -> Any:
        with transaction.atomic(using=self.db, savepoint=False):
            rows = super()._batched_insert(objs, *args, on_conflict=on_conflict, **options)  # type: ignore[misc]
            if on_conflict is None and (len(rows) < len(objs) or None in rows):
                raise IntegrityError(
                    f"An entry of {self.model.__name__} with one of these idempotency keys is there already, and "
                    "nothing says which are new: use bulk_create(…, ignore_conflicts=True) or record()."
                )
        return rows

    def _balances_there(self, wanted: Sequence[Mapping[str, Any]]) -> dict[Any, Any]:
        """Return the values of the dimensions -> the balance, of each group that is wanted and maybe of others."""
        entries, names = self.using(self._writing), sorted(wanted[0]) if wanted else []
        found: Any = entries.balances(*names) if names else [{"balance": entries.balance()}]
        for name in names:
            # Dimension by dimension: a condition for each group would be compared with each group that is there.
            values = [group[name] for group in wanted]
            known = models.Q(**{f"{name}__in": [value for value in values if value is not None]})
            found = found.filter(known | models.Q(**lookups({name: None})) if None in values else known)
        return {make_hashable([row[name] for name in names]): row["balance"] for row in found}

    def _leg(self, difference: Any) -> dict[str, Any]:
        if not is_double_entry(self.model):
            return {"value": difference}
        return {DIRECTION: DEBIT if difference > 0 else CREDIT, "value": abs(difference)}

    def _book(self, legs: Sequence[Mapping[str, Any]], key: str | None) -> list[Any]:
        if not legs:
            raise ValueError("An entry has at least one leg.")
        if key is not None and not is_idempotent(self.model):
            raise TypeError(
                f"{self.model.__name__} has no idempotency keys: write idempotency = True in class PGCraft."
            )
        legs = [self._completed(leg) for leg in legs]
        if key is None:
            entry = uuid.uuid4()
            return list(self._rows.bulk_create([self.model(**{**leg, "entry_id": entry}) for leg in legs]))
        try:
            return self._book_once(legs, key)
        except IdempotencyConflict:
            same = self._with_booked(legs, key)
            if same == list(legs):
                raise
            return self._book_once(same, key)

    def _completed(self, leg: Mapping[str, Any]) -> dict[str, Any]:
        """Return the leg with its exact value, and the object by way of which it is booked."""
        found = dict(leg)
        for name in ("entry_id", *([KEY] if is_idempotent(self.model) else [])):
            if name in found:
                raise TypeError(f"A leg has no {name} of its own: all legs of an entry have one.")
        if (value := leg.get("value")) is not None and not hasattr(value, "resolve_expression"):
            found["value"] = as_amount(self.model, value)
        for field, instances in self._known_related_objects.items():  # type: ignore[attr-defined]
            if len(instances) == 1 and not {field.name, field.attname} & set(leg):
                [found[field.name]] = instances.values()
        return found

    def _book_once(self, legs: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
        entry = uuid.uuid4()
        instances = [self.model(**{**leg, "entry_id": entry, KEY: key}) for leg in legs]
        try:
            with transaction.atomic(using=self._writing):
                # The database leaves out what was booked before, so fewer rows may come back than go.
                self._rows.bulk_create(instances, ignore_conflicts=True)
                return self._booked(entry, key, instances)
        except DatabaseError as error:
            if sqlstate(error) == CONFLICT:
                raise IdempotencyConflict(server_message(error)) from error
            raise

    def _booked(self, entry: uuid.UUID, key: str, instances: Sequence[Any]) -> list[Any]:
        rows = list(_about(timezone.now(), self._rows.filter(entry_id=entry)).order_by("id"))
        rows = rows or list(_with_key(self._rows, key).order_by("id"))  # also where the clock here is wrong
        if not rows and option(self.model, "policies"):
            _check_hidden(key, self._writing)
        if any(row.entry_id == entry for row in rows) or not rows:
            if len(rows) < len(instances):
                raise IntegrityError(f"A leg of the entry {entry} breaks a unique constraint of {self.model.__name__}.")
            return rows
        belongs = f"The idempotency key {key!r} belongs to the entry {rows[0].entry_id}, which has"
        if len(rows) != len(instances):
            raise IdempotencyConflict(f"{belongs} {len(rows)} legs and not {len(instances)}.")
        # PostgreSQL has found each leg among those that were there before. There must be as many, of each.
        legs = {make_hashable(said): said for said in map(_said, instances)}
        asked, booked = (Counter(make_hashable(_said(leg)) for leg in some) for some in (instances, rows))
        for leg, said in legs.items():
            if 1 < asked[leg] > booked[leg] and asked[leg] > _with_key(self._rows, key).filter(**lookups(said)).count():
                raise IdempotencyConflict(f"{belongs} other legs.")
        return rows

    def _with_booked(self, legs: Sequence[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
        """Return the legs with what was computed for them when they were booked before: nobody has said that."""
        computed = [field for field in written_fields(self.model) if is_computed(field)]
        booked = list(_with_key(self._rows, key).order_by("id"))
        if len(booked) != len(legs):
            return list(legs)
        return [
            {
                field.attname: getattr(row, field.attname)
                for field in computed
                if not {field.name, field.attname} & set(leg)
            }
            | dict(leg)
            for leg, row in zip(legs, booked, strict=True)
        ]

    @property
    def _rows(self) -> "LedgerQuerySet[Any]":
        return LedgerQuerySet(self.model, using=self._writing)


if TYPE_CHECKING:  # most type checkers do not know what from_queryset() returns

    class LedgerManager(LedgerQuerySet[Instance], models.Manager[Instance]):  # type: ignore[misc]
        """A manager with the methods of the queryset."""
else:
    LedgerManager = models.Manager.from_queryset(LedgerQuerySet)


def repeated_row(instance: Any, using: str, fields: Iterable[Any]) -> tuple[Any, ...]:
    """Return the values of `fields` in the leg that `instance` repeats: same key, same content."""
    rows = _with_key(type(instance)._base_manager.using(using), getattr(instance, KEY))
    rows = rows.order_by("id").values_list(*(field.attname for field in fields))
    # PostgreSQL has found the leg. What it rounds is not as the instance says.
    row: Any = rows.filter(**lookups(_said(instance))).first() or rows.first()
    if row is None:
        _check_hidden(getattr(instance, KEY), using)
    return row  # type: ignore[no-any-return]


def _with_key(rows: Any, key: str) -> Any:
    """Return those of `rows` that have the key. Entries have no index of keys: the table beside them has it."""
    if acting_role(rows.db) is None:  # to a request that table is closed
        keys = rows.model.pgcraft_keys._base_manager.using(rows.db).filter(pk=key)
        rows = rows.filter(entry_id__in=keys.values("entry_id"))
        if partition_interval(rows.model) and (when := keys.values_list("created_at", flat=True).first()):
            rows = _about(when, rows)
    return rows.filter(**{KEY: key})


def _about(when: datetime.datetime, rows: Any) -> Any:
    """Return those of `rows` that are of about this time: PostgreSQL makes no plan for partitions of another one."""
    return rows.filter(created_at__range=(when - A_DAY, when + A_DAY)) if partition_interval(rows.model) else rows


def _check_hidden(key: str, using: str) -> None:
    """Raise `IdempotencyConflict` in `as_role()`, whose role does not see the entry that has the key already."""
    if (role := acting_role(using)) is not None:
        raise IdempotencyConflict(f"The idempotency key {key!r} belongs to an entry that {role} may not see.")


def _said(instance: Any) -> dict[str, Any]:
    """Return what the instance says by itself: not what the database works out."""
    given = {field.attname: getattr(instance, field.attname) for field in written_fields(type(instance))}
    return {name: value for name, value in given.items() if not hasattr(value, "resolve_expression")}


def _plain(field: Any, value: Any) -> Any:
    """Return a value as it is read from the column."""
    if not field.is_relation:
        return field.to_python(value)
    target = field.target_field
    return getattr(value, target.attname) if isinstance(value, models.Model) else target.to_python(value)
