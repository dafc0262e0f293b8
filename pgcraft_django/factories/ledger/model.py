"""The abstract model, and the factory behind it."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.postgres.functions import RandomUUID
from django.core.checks import CheckMessage
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from pgcraft_django.factories.base import Factory, PGCraftModel
from pgcraft_django.factories.fixtures import LoadedModel
from pgcraft_django.factories.ledger.shape import (
    KEY,
    add_constraint,
    bound_of,
    constraint_name,
    is_idempotent,
    value_field,
)
from pgcraft_django.factories.ledger.writing import LedgerManager, repeated_row
from pgcraft_django.plugins.base import ColumnGrant

if TYPE_CHECKING:
    from pgcraft_django.objects import DatabaseObject


class LedgerFactory(Factory):
    """Entries are added and read."""

    options = Factory.options | {"idempotency", "record_grants", "partition_by"}
    privileges = frozenset({"select", "insert"})
    stamped = frozenset({"id", "created_at"})

    def prepare(self, model: type[models.Model]) -> None:
        if bound := bound_of(value_field(model)):
            # One comparison is enough, and each costs every insert: infinities have no place in the type, and NaN is
            # above all numbers.
            number = Q(value__lt=bound)
            add_constraint(model, models.CheckConstraint(condition=number, name=constraint_name(model, "value")))
        if is_idempotent(model):
            from pgcraft_django.factories.ledger.keys import add_keys

            add_keys(model)

    def objects(self, model: type[models.Model], schema: str) -> "Iterator[DatabaseObject]":
        from pgcraft_django.factories.ledger.objects import ledger_objects

        return ledger_objects(model, schema)

    def called(self, model: type[models.Model]) -> str:
        from pgcraft_django.factories.ledger.api import recording_roles

        return "record_legs" if recording_roles(model) else ""

    def column_grants(self, model: type[models.Model]) -> Iterable[ColumnGrant]:
        from pgcraft_django.factories.ledger.api import recording_grants

        return recording_grants(model)

    def check(self, model: type[models.Model]) -> Iterable[CheckMessage]:
        from pgcraft_django.factories.ledger.checks import check_ledger

        return check_ledger(model)


def is_ledger(model: type[models.Model]) -> bool:
    """Tell whether the model is a ledger: of any other, neither balances nor partitions can be kept."""
    return isinstance(getattr(model, "pgcraft_factory", None), LedgerFactory)


class PGCraftLedger(LoadedModel, PGCraftModel):
    """A table of entries that are never changed: what is booked stays booked, and is corrected by another entry."""

    pgcraft_factory: ClassVar[Factory] = LedgerFactory()

    id = models.BigAutoField(primary_key=True)
    entry_id = models.UUIDField(db_default=RandomUUID(), editable=False, help_text="Tells which legs are one entry.")
    created_at = models.DateTimeField(db_default=Now(), editable=False, help_text="When it was booked.")
    value: "models.Field[Any, Any]" = models.BigIntegerField()  # a ledger may have a DecimalField

    objects = LedgerManager()

    class Meta(PGCraftModel.Meta):
        abstract = True

    def _do_insert(self, manager: Any, using: Any, fields: Any, returning_fields: Any, raw: Any) -> Any:
        """Take over what Django reads back: of a repetition, which inserts nothing, from the entry that is there.

        `raw` is an entry of a fixture, which comes as it was.
        """
        if raw:
            from pgcraft_django.factories.ledger.fixtures import insert_as_it_was

            insert_as_it_was(self, using, fields)
            return []
        rows = super()._do_insert(manager, using, fields, returning_fields, raw)
        repeated = returning_fields and not (rows and rows[0]) and getattr(self, KEY, None) is not None
        return [repeated_row(self, using, returning_fields)] if repeated else rows
