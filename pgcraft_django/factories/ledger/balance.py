"""`Balance(...)`: a row for each group of entries, kept in the statement that adds them.

The row is the lock: who adds to a group waits for whoever is adding to it, and then goes on from what is there.

PostgreSQL judges a CHECK of the row that an upsert proposes, even if it then updates the one that is there, so a
movement below the minimum could never be proposed. Such a row is proposed with a negative id, which the CHECK lets
pass; if it is not wanted for an update, but as a new row, a trigger refuses it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from django.core.checks import CheckMessage
from django.db import models
from django.db.models import Q

from pgcraft_django.api import API, as_apis
from pgcraft_django.columns import AnyField, column_name
from pgcraft_django.factories.base import Factory, PGCraftModel
from pgcraft_django.factories.companion import make_companion, plain_copy, titles
from pgcraft_django.factories.ledger.model import is_ledger
from pgcraft_django.factories.ledger.shape import (
    OF_BALANCES,
    OWN,
    balances_of,
    constraint_name,
    total_field,
    value_field,
)
from pgcraft_django.naming import is_identifier
from pgcraft_django.plugins.base import Plugin

if TYPE_CHECKING:
    from pgcraft_django.objects import DatabaseObject


class BalanceFactory(Factory):
    """Balances can only be read, whatever is granted."""

    privileges = frozenset({"select"})


class BalanceModel(PGCraftModel):
    """Abstract base of balances; `id` is that of the group's first entry."""

    pgcraft_factory: ClassVar[Factory] = BalanceFactory()

    id = models.BigIntegerField(primary_key=True, editable=False, help_text="The id of the group's first entry.")

    class Meta(PGCraftModel.Meta):
        abstract = True


class CheckpointModel(PGCraftModel):
    """Abstract base of what entries after the checkpoint before, and `through` this id, added to each group."""

    pgcraft_factory: ClassVar[Factory] = BalanceFactory()

    id = models.BigAutoField(primary_key=True)
    through = models.BigIntegerField(editable=False, help_text="The id of the last entry that counts.")

    class Meta(PGCraftModel.Meta):
        abstract = True


@dataclass(frozen=True)
class Balance(Plugin):
    """Keeps the balance of each group of entries that have the same `dimensions`, names of fields of the ledger.

    No balance falls below `minimum`. The rows are in the table `<ledger>_<name>`; `api`, an `API`, exposes them to be
    read. A ledger may have several, with different names.
    """

    dimensions: Sequence[str]
    minimum: int | Decimal | None = None
    name: str = "balance"
    api: API | Sequence[API] | None = None

    def prepare(self, model: type[models.Model]) -> None:
        fields = self.fields(model)
        if not fields or not is_ledger(model) or not self._has_own_name(model):
            return
        names = [field.name for field in fields]
        constraints: list[models.BaseConstraint] = [
            models.UniqueConstraint(fields=names, nulls_distinct=False, name=constraint_name(model, self.name, "group"))
        ]
        if self.has_minimum:
            enough = Q(balance__gte=self.minimum) | Q(id__lt=0)
            constraints.append(models.CheckConstraint(condition=enough, name=self.constraint(model)))
        which = "" if self.name == "balance" else f": {self.name.replace('_', ' ')}"
        companion = make_companion(
            model,
            self.name.title(),
            {**{field.name: plain_copy(field) for field in fields}, "balance": total_field(value_field(model))},
            meta={
                "constraints": constraints,
                "ordering": names,
                "default_permissions": ["view"],
                **titles(model, f"balance of {{name}}{which}", f"balances of {{names}}{which}"),
            },
            api=self._exposed(),
            base=BalanceModel,
        )
        companion.pgcraft_checkpoints = self._checkpoints(model, companion, fields)  # type: ignore[attr-defined]
        companion.pgcraft_dimensions = tuple(names)  # type: ignore[attr-defined]
        model.pgcraft_balances = {**balances_of(model), self.name: companion}  # type: ignore[attr-defined]

    def _checkpoints(
        self, model: type[models.Model], companion: type[models.Model], fields: list[AnyField]
    ) -> type[models.Model]:
        checkpoints = make_companion(
            companion,
            "Checkpoint",
            {**{field.name: plain_copy(field) for field in fields}, "balance": total_field(value_field(model))},
            meta={"default_permissions": ["view"], "indexes": [models.Index(fields=["through"])]},
            base=CheckpointModel,
        )
        checkpoints.pgcraft_owner = model  # type: ignore[attr-defined]  # renames are asked about the ledger
        return checkpoints

    def objects(self, model: type[models.Model], schema: str) -> "Iterable[DatabaseObject]":
        companion = balances_of(model).get(self.name)
        if companion is None or not is_identifier(companion.pgcraft_checkpoints._meta.db_table):
            return ()
        from pgcraft_django.factories.ledger.balance_objects import balance_objects

        return balance_objects(self, model, companion, schema)

    def check(self, model: type[models.Model]) -> Iterator[CheckMessage]:
        from pgcraft_django.factories.ledger.checks import check_balance

        return check_balance(self, model)

    @property
    def has_minimum(self) -> bool:
        """Tell whether there is a minimum that can be one."""
        return (
            isinstance(self.minimum, int | Decimal)
            and not isinstance(self.minimum, bool)
            and (isinstance(self.minimum, int) or self.minimum.is_finite())
        )

    def constraint(self, model: type[models.Model]) -> str:
        """Return the name of the CHECK."""
        return constraint_name(model, self.name, "minimum")

    def fields(self, model: type[models.Model]) -> list[AnyField]:
        """Return the fields of the dimensions; none if something is wrong with them, which is left to the checks."""
        known: dict[str, AnyField] = {field.name: field for field in model._meta.local_concrete_fields}
        names = self.dimensions if isinstance(self.dimensions, list | tuple) else ()
        if len(set(names)) < len(names) or any(name in (*OWN, *OF_BALANCES) or name not in known for name in names):
            return []
        return [known[name] for name in names]

    def _has_own_name(self, model: type[models.Model]) -> bool:
        return isinstance(self.name, str) and self.name.isidentifier() and self.name not in balances_of(model)

    def _exposed(self) -> list[API]:
        return [
            api if api.columns is not None else replace(api, exclude=[*(api.exclude or ()), "id"])
            for api in as_apis(self.api)
        ]


def dimension_columns(plugin: Balance, model: type[models.Model]) -> list[str]:
    """Return the columns of the dimensions. They have the same names in the ledger and in its balances."""
    return [column_name(field) for field in plugin.fields(model)]
