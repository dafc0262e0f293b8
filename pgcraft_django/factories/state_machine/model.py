"""The abstract model, and the factory behind it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.checks import CheckMessage
from django.db import models

from pgcraft_django.api import declared_apis
from pgcraft_django.columns import column_name
from pgcraft_django.factories.base import Factory, PGCraftModel, exposed_at
from pgcraft_django.factories.companion import like_inherited, make_companion, plain_copy
from pgcraft_django.factories.fixtures import DUMP_SETTINGS, LoadedModel, as_from_a_dump
from pgcraft_django.factories.state_machine.machine import extra_fields, get_machine, state_field
from pgcraft_django.factories.state_machine.orm import StateMachineAccess
from pgcraft_django.factories.state_machine.validating import validate_state
from pgcraft_django.naming import is_identifier, shorten
from pgcraft_django.plugins.base import ColumnGrant

if TYPE_CHECKING:
    from pgcraft_django.objects import DatabaseObject


class TransitionFactory(Factory):
    """The lines of the log can only be read, whatever its API grants."""

    privileges = frozenset({"select"})
    former = "former"

    def tells(self, owner: type[models.Model]) -> Mapping[str, Sequence[str]]:
        state = state_field(owner)
        return {state.name: ["from_state", "to_state"]} if state else {}


class TransitionModel(LoadedModel, PGCraftModel):
    """Abstract base of the companion: one row for each state that a row of the model came to."""

    pgcraft_factory: ClassVar[Factory] = TransitionFactory()

    transition_id = models.BigAutoField(primary_key=True)
    step = models.IntegerField(editable=False, help_text="Counts the lines about a key.")
    former = models.BooleanField(
        db_default=False, editable=False, help_text="Whether another row has taken the key since."
    )
    from_state = models.TextField(null=True, editable=False)
    to_state = models.TextField(editable=False)
    at = models.DateTimeField(editable=False)
    actor = models.TextField(null=True, editable=False)
    reason = models.TextField(null=True, editable=False)

    class Meta(PGCraftModel.Meta):
        abstract = True

    def pgcraft_load(self, using: str, save: Callable[[], bool]) -> bool:
        with as_from_a_dump(using, type(self), *DUMP_SETTINGS):
            return super().pgcraft_load(using, save)

    def __str__(self) -> str:
        return f"{self.from_state} → {self.to_state}" if self.from_state else self.to_state


class StateMachineFactory(Factory):
    """Adds the log, and what lets nothing but the declared transitions through."""

    options = Factory.options | {
        *("state_field", "transitions", "transition_fields", "transition_api", "transition_grants")
    }

    def prepare(self, model: type[models.Model]) -> None:
        keys = [plain_copy(field) for field in model._meta.pk_fields]
        extras = {name: like_inherited(field) for name, field in extra_fields(model).items()}
        names = [field.name for field in model._meta.pk_fields]
        fields = {**dict(zip(names, keys, strict=True)), **extras}
        name = shorten(f"{model._meta.db_table}_transition_step")
        model.pgcraft_log = make_companion(  # type: ignore[attr-defined]
            model,
            "Transition",
            fields,
            meta={
                "constraints": [models.UniqueConstraint(fields=[*names, "step"], name=name)],
                "ordering": ["transition_id"],
                "default_permissions": ["view"],
            },
            api=declared_apis(model, "transition_api"),
            base=TransitionModel,
        )

    def objects(self, model: type[models.Model], schema: str) -> "Iterator[DatabaseObject]":
        from pgcraft_django.factories.state_machine.objects import Parts, api_objects, machine_objects

        machine = get_machine(model)
        if machine is None:
            return
        parts = Parts(machine, schema)
        yield from machine_objects(parts)
        place, name = exposed_at(model)
        if is_identifier(place) and is_identifier(name):
            yield from api_objects(parts, place, name)

    def called(self, model: type[models.Model]) -> str:
        machine = get_machine(model)
        return "transition" if machine and machine.granted else ""

    def column_grants(self, model: type[models.Model]) -> Iterator[ColumnGrant]:
        # The function of the API locks the row as who asks, which takes the right to change something of it.
        machine = get_machine(model)
        for role in machine.granted if machine else ():
            for field in model._meta.pk_fields:
                yield ColumnGrant(role, "select", column_name(field))
            yield ColumnGrant(role, "update", column_name(machine.field))  # type: ignore[union-attr]

    def check(self, model: type[models.Model]) -> Iterable[CheckMessage]:
        from pgcraft_django.factories.state_machine.checks import check_machine

        return check_machine(model)


class PGCraftStateMachine(LoadedModel, PGCraftModel):
    """A table whose rows go from state to state as `PGCraft.transitions` says, each step in a log beside it."""

    pgcraft_factory: ClassVar[Factory] = StateMachineFactory()

    state_machine = StateMachineAccess()
    pgcraft_log: ClassVar[type[models.Model]]
    """The companion with a row for each state that a row came to."""

    class Meta(PGCraftModel.Meta):
        abstract = True

    def validate_constraints(self, exclude: Any = None) -> None:
        """Raise `ValidationError` for what the database would refuse, a state included that the row cannot come to."""
        super().validate_constraints(exclude=exclude)
        if machine := get_machine(type(self)):
            validate_state(machine, self, exclude)

    def pgcraft_load(self, using: str, save: Callable[[], bool]) -> bool:
        # In whatever state it was: its log comes by itself, perhaps later.
        with as_from_a_dump(using, type(self), *DUMP_SETTINGS):
            return save()
