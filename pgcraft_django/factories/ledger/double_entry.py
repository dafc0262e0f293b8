"""`DoubleEntry()`: legs are debits or credits, and those of one entry are equal in sum.

An entry that comes in one statement, as most do, is judged there, all entries at once. One that is not complete then is
noted in a table beside the ledger, once however many legs follow, and judged when the transaction ends. The table is
empty for everybody else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from django.core.checks import CheckMessage
from django.db import models
from django.db.models import Q

from pgcraft_django.bodies import read_body
from pgcraft_django.columns import column_name, column_types
from pgcraft_django.factories.base import Factory, PGCraftModel
from pgcraft_django.factories.companion import make_companion
from pgcraft_django.factories.guard import RESTORING
from pgcraft_django.factories.ledger.model import is_ledger
from pgcraft_django.factories.ledger.shape import (
    CREDIT,
    DEBIT,
    DIRECTION,
    add_constraint,
    constraint_name,
    index_entries,
    signed_value,
    value_field,
)
from pgcraft_django.naming import is_identifier, quote_name, quote_text, shorten
from pgcraft_django.objects import DatabaseObject, Function, Trigger
from pgcraft_django.objects.function import GROWING
from pgcraft_django.plugins.base import Plugin


class UnbalancedFactory(Factory):
    """What is noted here is the database's own business."""

    privileges = frozenset()


class UnbalancedModel(PGCraftModel):
    """Abstract base of the companion: entries that are incomplete so far, in transactions that are running."""

    pgcraft_factory: ClassVar[Factory] = UnbalancedFactory()

    entry_id = models.UUIDField(primary_key=True, editable=False)

    class Meta(PGCraftModel.Meta):
        abstract = True


@dataclass(frozen=True)
class DoubleEntry(Plugin):
    """Gives the legs of a ledger's entries a `direction`; debits and credits of each entry are equal.

    Values are above 0. A balance is debits minus credits.
    """

    is_double_entry: ClassVar[bool] = True

    def prepare(self, model: type[models.Model]) -> None:
        if not is_ledger(model) or DIRECTION in {field.name for field in model._meta.local_fields}:
            return
        direction: Any = models.CharField(max_length=6, choices=[(DEBIT, DEBIT), (CREDIT, CREDIT)])
        model.add_to_class(DIRECTION, direction)
        known = Q(direction=DEBIT) | Q(direction=CREDIT)
        add_constraint(model, models.CheckConstraint(condition=known, name=constraint_name(model, DIRECTION)))
        above = Q(value__gt=0)
        add_constraint(model, models.CheckConstraint(condition=above, name=constraint_name(model, "above_zero")))
        index_entries(model)
        meta: dict[str, Any] = {"default_permissions": []}
        model.pgcraft_unbalanced = make_companion(  # type: ignore[attr-defined]
            model, "Unbalanced", {}, meta=meta, base=UnbalancedModel
        )

    def objects(self, model: type[models.Model], schema: str) -> Iterator[DatabaseObject]:
        companion: type[models.Model] | None = model.__dict__.get("pgcraft_unbalanced")
        if companion is None or not is_identifier(companion._meta.db_table):
            return
        table, pending = model._meta.db_table, companion._meta.db_table
        value = value_field(model)
        parts = {
            "table": quote_name(schema, table),
            "pending": quote_name(schema, pending),
            "amount": signed_value(model),
            "value": quote_name(column_name(value)),
            "ledger_name": quote_text(table),
            "restoring": RESTORING,
        }
        used = [field for field in model._meta.local_concrete_fields if field.name in {"entry_id", DIRECTION, "value"}]
        reads = {
            parts["table"]: column_types(used),
            parts["pending"]: column_types(companion._meta.local_concrete_fields),
        }
        for body, on, event, definition, deferred in (
            ("unbalanced", table, "AFTER INSERT", "REFERENCING NEW TABLE AS new_rows\n    FOR EACH STATEMENT", False),
            ("balanced", pending, "AFTER INSERT OR UPDATE", "FOR EACH ROW", True),
        ):
            function = Function(
                schema=schema,
                name=shorten(f"{table}_{body}"),
                returns="trigger",
                language="plpgsql",
                security_definer=True,
                body=read_body(__file__, body, **parts),
                reads=reads,
                settings=GROWING if deferred else {},
            )
            yield function
            yield Trigger(
                schema=schema,
                table=on,
                name=f"pgcraft_{body}",
                event=event,
                definition=definition,
                function=(function.schema, function.name),
                deferred=deferred,
            )

    def check(self, model: type[models.Model]) -> Iterator[CheckMessage]:
        from pgcraft_django.factories.ledger.checks import check_double_entry

        return check_double_entry(model)
