"""The abstract model, and the factory behind it."""

from collections.abc import Iterable
from typing import ClassVar

from django.core.checks import CheckMessage
from django.db import models

from pgcraft_django.factories.base import Factory, PGCraftModel
from pgcraft_django.factories.companion import make_companion, plain_copy
from pgcraft_django.factories.state_machine.checks import check_machine
from pgcraft_django.factories.state_machine.machine import extra_fields, get_machine, option
from pgcraft_django.factories.state_machine.objects import Parts, machine_objects
from pgcraft_django.objects import DatabaseObject


class _Log(Factory):
    """A log is read, and written by the database alone."""

    options = frozenset({"schema", "api"})
    privileges = frozenset({"select"})


class TransitionLog(PGCraftModel):
    """Abstract base of the companion: one row for each state that a row of the model came to."""

    pgcraft_factory = _Log()
    transition_id = models.BigAutoField(primary_key=True)
    from_state = models.TextField(null=True, editable=False)
    to_state = models.TextField(editable=False)
    at = models.DateTimeField(editable=False)
    actor = models.TextField(null=True, editable=False)
    reason = models.TextField(null=True, editable=False)

    class Meta(PGCraftModel.Meta):
        abstract = True

    def __str__(self) -> str:
        return f"{self.from_state} → {self.to_state}" if self.from_state else self.to_state


class _StateMachine(Factory):
    options = Factory.options | {
        *("state_field", "transitions", "transition_fields", "transition_api", "transition_grants")
    }

    def prepare(self, model: type[models.Model]) -> None:
        keys = [plain_copy(field) for field in model._meta.pk_fields]
        extras = {name: field.clone() for name, field in extra_fields(model).items()}
        names = [field.name for field in model._meta.pk_fields]
        fields = {**dict(zip(names, keys, strict=True)), **extras}
        model.pgcraft_log = make_companion(  # type: ignore[attr-defined]
            model,
            "Transition",
            fields,
            meta={
                "indexes": [models.Index(fields=[*names, "transition_id"])],
                "ordering": ["transition_id"],
                "default_permissions": ["view"],
            },
            api=option(model, "transition_api"),
            base=TransitionLog,
        )

    def objects(self, model: type[models.Model], schema: str) -> Iterable[DatabaseObject]:
        machine = get_machine(model)
        if machine is None:
            return ()
        log = model.pgcraft_log  # type: ignore[attr-defined]
        extras = [log._meta.get_field(name) for name in extra_fields(model)]
        return machine_objects(Parts(machine, log, schema, extras))

    def check(self, model: type[models.Model]) -> Iterable[CheckMessage]:
        return check_machine(model)


class PGCraftStateMachine(PGCraftModel):
    """A table whose rows go from state to state as `PGCraft.transitions` says, each step in a log beside it."""

    pgcraft_factory = _StateMachine()
    pgcraft_log: ClassVar[type[models.Model]]
    """The companion with a row for each state that a row came to."""

    class Meta(PGCraftModel.Meta):
        abstract = True
