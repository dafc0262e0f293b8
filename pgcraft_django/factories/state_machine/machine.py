"""What a model declares of its states, read once and typed. What is wrong with it is left to the checks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db import models

from pgcraft_django.api import ALL
from pgcraft_django.columns import AnyField
from pgcraft_django.conf import is_names
from pgcraft_django.factories.base import constant_default
from pgcraft_django.naming import is_identifier, plain_text
from pgcraft_django.plugins.base import option


@dataclass(frozen=True)
class Transition:
    """A way to the state `to`, open while `guard`, a `Q` over the model's own columns, is true of the changed row."""

    to: str
    guard: models.Q | None = None


@dataclass(frozen=True)
class Machine:
    """The states of a model and the ways between them."""

    model: type[models.Model]
    field: AnyField
    initial: str
    transitions: Mapping[str, tuple[Transition, ...]]
    """State -> ways out of it."""

    @property
    def states(self) -> tuple[str, ...]:
        """Every state, in the order of the field's choices, or else as they are first named."""
        return tuple(dict.fromkeys([*choices_of(self.field), self.initial, *_named(self.transitions)]))

    @property
    def final(self) -> tuple[str, ...]:
        """The states without a way out."""
        return tuple(state for state in self.states if not self.transitions.get(state))

    @property
    def reachable(self) -> set[str]:
        """The states that a row can get to, the initial one included."""
        found, queue = {self.initial}, [self.initial]
        while queue:
            fresh = {way.to for way in self.transitions.get(queue.pop(), ())} - found
            found |= fresh
            queue += fresh
        return found

    @property
    def unreachable(self) -> list[str]:
        """The states that no row can get to."""
        reachable = self.reachable
        return [state for state in self.states if state not in reachable]

    @property
    def granted(self) -> dict[str, tuple[str, ...]]:
        """Role -> states that it may lead rows to, by the function of the API."""
        declared = option(self.model, "transition_grants")
        targets = tuple(dict.fromkeys(way.to for _, way in self.ways()))
        found = {}
        for role, states in declared.items() if isinstance(declared, Mapping) else ():
            chosen = (
                targets if states == ALL else tuple(state for state in targets if is_names(states) and state in states)
            )
            if is_identifier(role) and chosen:
                found[plain_text(role)] = chosen
        return dict(sorted(found.items()))

    def ways(self) -> Iterator[tuple[str, Transition]]:
        """Yield every state with each way out of it."""
        for state, ways in self.transitions.items():
            for way in ways:
                yield state, way


def _named(transitions: Mapping[str, tuple[Transition, ...]]) -> Iterator[str]:
    for state, ways in transitions.items():
        yield state
        yield from (way.to for way in ways)


def choices_of(field: AnyField) -> tuple[str, ...]:
    """Return the values that a text field may have, if it says so."""
    return tuple(plain_text(value) for value, _ in field.flatchoices if isinstance(value, str) and value)


def state_field(model: type[models.Model]) -> "AnyField | None":
    """Return the field of the state, if there is one that can be it."""
    name = option(model, "state_field", "state")
    field = next((field for field in model._meta.local_concrete_fields if field.name == name), None)
    return field if isinstance(field, models.CharField | models.TextField) else None


def initial_state(field: AnyField) -> str | None:
    """Return the state of a row that comes without one."""
    default = constant_default(field)
    return plain_text(default) if isinstance(default, str) and default else None


def as_transition(declared: object) -> Transition | None:
    """Return a way that is declared as one, or as the state that it leads to; anything else is none."""
    if isinstance(declared, Transition) and isinstance(declared.to, str):
        return Transition(plain_text(declared.to), declared.guard or None)  # an empty Q() is no condition
    return Transition(plain_text(declared)) if isinstance(declared, str) else None


def transitions(model: type[models.Model]) -> dict[str, tuple[Transition, ...]]:
    """Return state -> ways out of it, each target once."""
    declared = option(model, "transitions")
    found = {}
    for state, targets in declared.items() if isinstance(declared, Mapping) else ():
        if isinstance(state, str) and isinstance(targets, list | tuple):
            ways = [way for way in map(as_transition, targets) if way]
            found[plain_text(state)] = tuple({way.to: way for way in reversed(ways)}.values())[::-1]
    return found


def get_machine(model: type[models.Model]) -> Machine | None:
    """Return the machine that the model declares, or None if that is not possible."""
    field, ways = state_field(model), transitions(model)
    initial = initial_state(field) if field else None
    if field is None or initial is None or not any(ways.values()):
        return None
    return Machine(model, field, initial, ways)


def extra_fields(model: type[models.Model]) -> dict[str, AnyField]:
    """Return what the log holds beside the transition, as it was declared."""
    declared = option(model, "transition_fields", {})
    if not isinstance(declared, Mapping):
        return {}
    return {name: field for name, field in declared.items() if isinstance(field, models.Field)}
