"""A project as data: models that random edits change and that become real classes."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

from django.apps.registry import Apps
from django.db import models

from pgcraft_django import registry
from pgcraft_django.api import API
from pgcraft_django.models import (
    PGCraftAppendOnly,
    PGCraftEAV,
    PGCraftForeignKey,
    PGCraftLedger,
    PGCraftSimple,
    PGCraftStateMachine,
    Transition,
)
from pgcraft_django.plugins import Balance
from pgcraft_django.policies import Claim, Policy

NUMBERS: Mapping[str, Callable[..., models.Field]] = {
    "integer": models.IntegerField,
    "big": models.BigIntegerField,
    "exact": partial(models.DecimalField, max_digits=12, decimal_places=0),
}


@dataclass(frozen=True)
class FieldSpec:
    """A field: its kind, and what else is said of it. Every kind can hold the value 7."""

    kind: str = "text"
    null: bool = True
    collation: str | None = None
    target: str = ""
    help_text: str = ""
    comment: str | None = None
    """What the database says of the column."""
    of_database: bool = False
    """Whether the database knows the default by itself."""

    def build(self, name: str) -> models.Field:
        """Return a new Django field, to be called `name`."""
        # Hidden relations (`+`) would hit a bug of Django: RenameModel forgets the columns of their linking table.
        accessor = f"%(class)s_{name}"
        if self.kind == "many":
            return models.ManyToManyField(self.target, related_name=accessor)
        if self.kind in {"foreign", "one"}:
            kind = PGCraftForeignKey if self.kind == "foreign" else models.OneToOneField
            return kind(self.target, null=True, on_delete=models.SET_NULL, related_name=accessor)
        options: dict[str, Any] = {"null": self.null, "help_text": self.help_text, "db_comment": self.comment}
        if not self.null:
            options["db_default" if self.of_database else "default"] = 7 if self.kind in NUMBERS else "7"
        if self.kind in NUMBERS:
            return NUMBERS[self.kind](**options)
        options["db_collation"] = self.collation
        if self.kind == "text":
            return models.TextField(**options)
        return models.CharField(max_length=int(self.kind), **options)


@dataclass(frozen=True)
class MachineSpec:
    """The states of a model: a row begins in the first, and each leads to the next."""

    states: tuple[str, ...] = ("new", "done")
    field: str = "state"
    guarded: bool = False
    """Whether the first way is open to saved rows only."""
    extras: frozenset[str] = frozenset()
    granted: bool = False

    def fields(self) -> dict[str, models.Field]:
        """Return the field of the state."""
        return {self.field: models.TextField(default=self.states[0])}

    def options(self) -> dict[str, Any]:
        """Return what `class PGCraft` says."""
        ways: dict[str, list[Any]] = {state: [following] for state, following in itertools.pairwise(self.states)}
        if self.guarded:
            ways[self.states[0]] = [Transition(self.states[1], guard=models.Q(id__gt=0))]
        return {
            "state_field": self.field,
            "transitions": ways,
            "transition_fields": {name: models.TextField(null=True) for name in sorted(self.extras)},
            "transition_grants": {"webuser": "all"} if self.granted else {},
        }


@dataclass(frozen=True)
class ModelSpec:
    """A model, and what its `class PGCraft` says."""

    label: str
    name: str
    table: str
    fields: Mapping[str, FieldSpec] = field(default_factory=dict)
    schema: str = "private"
    apis: tuple[API, ...] = (API(),)
    indexes: frozenset[str] = frozenset()
    checks: frozenset[str] = frozenset()
    comment: str = ""
    has_history: bool = False
    has_entities: bool = False
    """Whether the fields are attributes."""
    balance: tuple[str, ...] | None = None
    """The dimensions of a ledger's balances, of which `()` has none; None for what is no ledger."""
    is_exact: bool = False
    """Whether the values of a ledger have decimal places."""
    partition_by: str | None = None
    """The period that a partition of a ledger is for."""
    machine: MachineSpec | None = None
    is_log_exposed: bool = False
    """Whether the log of a history, of attributes or of states has an API."""
    is_open: bool = False
    """Whether attributes can be defined at run time, and entries can be booked once by a key."""
    policy: str | None = None
    """The field, if it is there, that says whose a row is."""

    @property
    def path(self) -> str:
        return f"{self.label}.{self.name}"

    def but(self, **changes: Any) -> Self:
        """Return the model with other values."""
        return replace(self, **changes)

    def with_field(self, name: str, spec: FieldSpec) -> Self:
        """Return the model with one field added or replaced."""
        return self.but(fields={**self.fields, name: spec})

    def columns(self) -> list[str]:
        """Return the fields that are columns."""
        own = ["id"] if self.balance is None else ["id", "entry_id", "created_at", "value"]
        own += [self.machine.field] if self.machine else []
        return [*own, *(name for name, spec in self.fields.items() if spec.kind != "many")]

    @staticmethod
    def _among(name: str) -> models.Q:
        """Return a condition that PostgreSQL reads with casts for some types."""
        return models.Q(**{f"{name}__in": ["7", "8"]}) | models.Q(**{f"{name}__gt": "9"})

    def build(self, apps: Apps) -> type[models.Model]:
        """Define the model class in `apps`."""
        meta = type(
            "Meta",
            (),
            {
                "apps": apps,
                "app_label": self.label,
                "db_table": self.table,
                "db_table_comment": self.comment,
                "indexes": [
                    models.Index(fields=[name], name=f"{self.table}_{name}_ix", condition=self._among(name))
                    for name in sorted(self.indexes)
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=self._among(name) | models.Q(id__gt=0), name=f"{self.table}_{name}_ck"
                    )
                    for name in sorted(self.checks)
                ],
            },
        )
        fields = {name: spec.build(name) for name, spec in self.fields.items()}
        plugins = [Balance(list(self.balance), -5)] if self.balance else []
        options = {"schema": self.schema, "api": list(self.apis), "plugins": plugins}
        if self.partition_by:
            options["partition_by"] = self.partition_by
        if self.balance is not None and self.is_exact:
            fields["value"] = models.DecimalField(max_digits=12, decimal_places=2)
        if self.balance is not None:
            options |= {"idempotency": self.is_open, "record_grants": ["webuser"] if self.is_open else []}
        if self.has_entities:
            options["extra"] = self.is_open
        if self.is_log_exposed:
            log = "history" if self.has_history else "attribute" if self.has_entities else "transition"
            options[f"{log}_api"] = API(f"{self.name}_log", grants={"webuser": ["select"]})
        if self.policy in self.fields and self.fields[self.policy].kind != "many":
            options["policies"] = [Policy("own", using=models.Q(**{self.policy: Claim("sub")}))]
        base = PGCraftAppendOnly if self.has_history else PGCraftSimple if self.balance is None else PGCraftLedger
        if self.has_entities:
            base = PGCraftEAV
        if self.machine:
            base = PGCraftStateMachine
            fields |= self.machine.fields()
            options |= self.machine.options()
        pgcraft = type("PGCraft", (), options)
        return type(self.name, (base,), {"__module__": __name__, "Meta": meta, "PGCraft": pgcraft, **fields})


Project = Mapping[str, ModelSpec]
"""Key -> model; the key stays when the model is renamed."""


def build_project(project: Project, apps: Apps) -> None:
    """Define all models in `apps`, and expose every many-to-many table, which the other app does."""
    built = {key: spec.build(apps) for key, spec in sorted(project.items())}
    for key, spec in sorted(project.items()):
        for name, item in sorted(spec.fields.items()):
            if item.kind == "many":
                through = built[key]._meta.get_field(name).remote_field.through
                other = "library" if spec.label == "shop" else "shop"
                registry.register(through, api=API(grants={"anon": ["select"]}), app_label=other)
