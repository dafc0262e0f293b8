"""What can be wrong with the declaration of a state machine."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage
from django.core.exceptions import FieldError
from django.db import models

from pgcraft_django.api import ALL, declared_api, is_api
from pgcraft_django.columns import AnyField, column_name, is_virtual
from pgcraft_django.conditions import condition_sql
from pgcraft_django.conf import get_config
from pgcraft_django.factories.foreign_key import KEEPING
from pgcraft_django.factories.state_machine.machine import (
    Machine,
    Transition,
    as_transition,
    choices_of,
    get_machine,
    initial_state,
    state_field,
    transitions,
)
from pgcraft_django.messages import error, listed, nearest, source, warning
from pgcraft_django.plugins.base import option

RESERVED = {"transition_id", "step", "former", "from_state", "to_state", "at", "actor", "reason", "from", "to"}
"""Columns of the log, and arguments of the function."""


def check_machine(model: type[models.Model]) -> Iterator[CheckMessage]:
    """Yield what is wrong with what `model` declares of its states."""
    field = state_field(model)
    if field is None or field.null:
        yield _no_field(model)
    yield from _transitions(model)
    if field is not None:
        yield from _states(model, field)
    yield from _guards(model)
    yield from _extras(model)
    if not is_api(api := declared_api(model, "transition_api")):
        yield error(
            "E078",
            f"transition_api in class PGCraft is of type {type(api).__name__}; it must be an API, a list of them, or "
            "None.",
            hint='Write transition_api = API(grants={"webuser": ["select"]})',
            obj=model,
        )
    machine = get_machine(model)
    if machine is not None:
        yield from _unreachable(machine)
        yield from _grants(machine)


def _no_field(model: type[models.Model]) -> CheckMessage:
    name = option(model, "state_field", "state")
    return error(
        "E071",
        f"The model has no field {name!r} that can hold a state: a TextField or CharField without null=True.",
        hint=f"Write {name} = models.TextField(choices=State.choices, default=State.…), or state_field = … in class "
        "PGCraft",
        obj=model,
    )


def _transitions(model: type[models.Model]) -> Iterator[CheckMessage]:
    declared = option(model, "transitions")
    if not isinstance(declared, Mapping) or not declared:
        yield _wrong(model, "transitions in class PGCraft must map states to lists of the states they lead to.")
        return
    wrong = [message for state, targets in declared.items() if (message := _wrong_targets(state, targets))]
    if not wrong and not any(transitions(model).values()):
        wrong = ["transitions in class PGCraft lead nowhere."]
    yield from (_wrong(model, message) for message in wrong)


def _wrong_targets(state: object, targets: object) -> str:
    if not isinstance(state, str) or not isinstance(targets, list | tuple):
        return f"transitions has {state!r}: {targets!r}; it must map a state to a list of states."
    ways = [as_transition(target) for target in targets]
    names = [way.to for way in ways if way]
    if None in ways:
        return f"transitions from {state!r} has {targets[ways.index(None)]!r}, which is no state and no Transition."
    if len(set(names)) < len(names):
        return f"transitions from {state!r} names a state twice."
    if state in names:
        return f"transitions from {state!r} lead to {state!r} itself, which changes nothing."
    return ""


def _wrong(model: type[models.Model], message: str) -> CheckMessage:
    hint = 'Write transitions = {"pending": ["confirmed", Transition("cancelled", guard=Q(…))]} in class PGCraft'
    return error("E072", message, hint=hint, obj=model)


def _states(model: type[models.Model], field: AnyField) -> Iterator[CheckMessage]:
    """Judge the initial state, and that all states are known."""
    declared = transitions(model)
    known = choices_of(field)
    initial = initial_state(field)
    if initial is None:
        example = next(iter(known or declared), "…")
        yield error(
            "E073",
            f"The field {field.name!r} has no default, so there is no state for a new row to begin with.",
            hint=f"Write {field.name} = models.{type(field).__name__}(default={source(example)})",
            obj=model,
        )
    used = dict.fromkeys([*([initial] if initial else []), *declared])
    used |= dict.fromkeys(way.to for ways in declared.values() for way in ways)
    for state in used if known else ():
        if state not in known:
            near = nearest(state, known)
            yield error(
                "E074",
                f"{state!r} is a default or in transitions, but not among the choices of {field.name!r}.",
                hint=f"Write {source(near)}" if near else f"The states are {listed(known)}",
                obj=model,
            )
    longest = max(map(len, used), default=0)
    if field.max_length is not None and longest > field.max_length and not known:  # of choices Django tells it
        yield error(
            "E074",
            f"The field {field.name!r} is too short for the longest state, which has {longest} characters.",
            hint=f"Write {field.name} = …(max_length={longest})",
            obj=model,
        )


def _guards(model: type[models.Model]) -> Iterator[CheckMessage]:
    for state, ways in transitions(model).items():
        for way in ways:
            if way.guard is not None and (wrong := _wrong_guard(model, way)):
                yield error(
                    "E075",
                    f"The guard of the transition from {state!r} to {way.to!r} cannot be decided from the row alone: "
                    f"{wrong}",
                    hint=f"Write Transition({source(way.to)}, guard=Q(…)) over columns of {model.__name__} itself",
                    obj=model,
                )


def _wrong_guard(model: type[models.Model], way: Transition) -> str:
    try:
        _, fields = condition_sql(model, way.guard)  # type: ignore[arg-type]
    except FieldError as wrong:
        return str(wrong)
    if (state := state_field(model)) in fields:
        return f"{state.name!r} is {way.to!r} there, and no longer what it was. Leave it out."
    virtual = next((field.name for field in fields if is_virtual(field)), "")
    return f"{virtual!r} is computed when it is read. It takes db_persist=True." if virtual else ""


def _extras(model: type[models.Model]) -> Iterator[CheckMessage]:
    declared = option(model, "transition_fields", {})
    example = 'Write transition_fields = {"note": models.TextField(null=True)} in class PGCraft'
    if not isinstance(declared, Mapping):
        yield error("E076", "transition_fields must map names to fields.", hint=example, obj=model)
        return
    taken = RESERVED | {name for key in model._meta.pk_fields for name in (key.name, column_name(key))}
    for key in model._meta.pk_fields:
        if {key.name, column_name(key)} & RESERVED:
            message = (
                f"The log of the states has a column of its own that is called {column_name(key)!r} as the key is."
            )
            yield error("E076", message, hint=f"Write {key.name}_key = … instead of {key.name} = …", obj=model)
    for name, field in declared.items():
        if not isinstance(field, models.Field) or field.many_to_many:
            message = f"transition_fields has {name!r}: {field!r}, which is no field with a column."
            yield error("E076", message, hint=example, obj=model)
        elif name in taken or (field.db_column or name) in taken:
            message = f"The log of the states has a column {name!r} of its own."
            yield error("E076", message, hint=f'Write transition_fields = {{"{name}_given": …}}', obj=model)
        elif not field.null:
            message = f"The field {name!r} of transition_fields needs a value, which a plain change of state has not."
            yield error("E076", message, hint=f"Write {name} = …(null=True)", obj=model)
        elif field.remote_field and field.remote_field.on_delete not in KEEPING:
            message = f"Deleting what {name!r} refers to would change the log of the states, which nobody can."
            yield error("E076", message, hint=f"Write {name} = …(on_delete=models.PROTECT)", obj=model)


def _unreachable(machine: Machine) -> Iterator[CheckMessage]:
    if missing := machine.unreachable:
        yield warning(
            "W071",
            f"No transition leads from {machine.initial!r} to {listed(missing)}.",
            hint=f"Write a way to {source(missing[0])} into transitions in class PGCraft, or remove it",
            obj=machine.model,
        )


def _grants(machine: Machine) -> Iterator[CheckMessage]:
    grants: Any = option(machine.model, "transition_grants", {})
    hint = 'Write transition_grants = {"webuser": "all"} in class PGCraft, or a list of states instead of "all"'
    if not isinstance(grants, Mapping):
        yield error(
            "E077", "transition_grants must map roles to the states they may lead to.", hint=hint, obj=machine.model
        )
        return
    for role, targets in grants.items():
        if role not in get_config().request_roles:
            message = f"transition_grants names the role {role!r}, which no request can switch to."
            yield error("E077", message, hint=f"The roles are {listed(get_config().request_roles)}", obj=machine.model)
        elif targets != ALL and not isinstance(targets, list | tuple):
            message = f"transition_grants gives {role!r} {targets!r}, which is no list of states."
            yield error("E077", message, hint=hint, obj=machine.model)
        elif targets != ALL and (unknown := [item for item in targets if item not in machine.states]):
            message = f"transition_grants gives {role!r} the unknown states {listed(map(str, unknown))}."
            yield error("E077", message, hint=f"The states are {listed(machine.states)}", obj=machine.model)
