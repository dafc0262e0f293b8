"""`policies`: what is none, what PostgreSQL would refuse, and what would be slow."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.core.checks import ERROR, CheckMessage
from django.core.exceptions import FieldError
from django.db import models

from pgcraft_django.api import ALL, PRIVILEGES
from pgcraft_django.columns import is_indexed
from pgcraft_django.conf import get_config, is_names
from pgcraft_django.messages import error, listed, nearest, of_apps, source, warning
from pgcraft_django.naming import is_identifier
from pgcraft_django.objects import DatabaseObject, Function
from pgcraft_django.objects import Policy as PolicyObject
from pgcraft_django.objects.base import ObjectKey
from pgcraft_django.policies.conditions import Rendered, render
from pgcraft_django.policies.declaration import Policy, declared_policies, expand_commands, get_policies, policy_names
from pgcraft_django.policies.objects import policy_objects
from pgcraft_django.registry import (
    concerned_models,
    is_factory_model,
    policy_registrations,
    possible_models,
    registrations,
)

EXAMPLE = 'policies = [OwnerPolicy("user")]'


def check_policies(
    *, app_configs: Sequence[AppConfig] | None = None, apps: Apps = global_apps, **kwargs: Any
) -> list[CheckMessage]:
    """Return what is wrong with the policies of the models of `app_configs`."""
    return of_apps(_check(apps), app_configs)


def _check(apps: Apps) -> Iterator[CheckMessage]:
    found = list(_each(apps))
    yield from found
    if all(item.level < ERROR for item in found):
        yield from _same_objects(apps)


def _each(apps: Apps) -> Iterator[CheckMessage]:
    for model in concerned_models(apps):
        yield from _registered(model)
        declared = declared_policies(model)
        if not isinstance(declared, list | tuple) or not all(isinstance(item, Policy) for item in declared):
            place, line = "class PGCraft", EXAMPLE
            if not is_factory_model(model):
                place, line = "register()", f"register({model.__name__}, {EXAMPLE.replace(' = ', '=')})"
            yield error("E101", f"policies in {place} must be a list of policies.", hint=f"Write {line}", obj=model)
        policies = get_policies(model)
        if is_factory_model(model):
            yield from _lost(model, policies)
        yield from _names(model, policies)
        for policy in policies:
            yield from _commands(model, policy)
            yield from _roles(model, policy)
            yield from _conditions(model, policy)


def _lost(model: type[models.Model], policies: Sequence[Policy]) -> Iterator[CheckMessage]:
    """Find parents whose policies do not count, because another `class PGCraft` is in the place of theirs."""
    deciding: list[type] = []
    for parent in model.__mro__:
        inner = vars(parent).get("PGCraft")
        said = vars(inner).get("policies") if isinstance(inner, type) else None
        if not isinstance(said, list | tuple):
            continue
        is_decided = parent is model or any(issubclass(child, parent) for child in deciding)
        if not is_decided and any(item not in policies for item in said):
            yield warning(
                "W102",
                f"The policies of {parent.__name__} do not count for the model, whose class PGCraft is another one.",
                hint=f"Write policies = [*{parent.__name__}.PGCraft.policies] in its class PGCraft, with its own ones "
                "behind, or policies = [] if they are not meant for it",
                obj=model,
            )
        deciding.append(parent)


def _registered(model: type[models.Model]) -> Iterator[CheckMessage]:
    found = policy_registrations(model)
    if found and model._meta.proxy:
        concrete: Any = model._meta.concrete_model
        yield error(
            "E106",
            f"register() gives policies to a proxy: they are for the table, which is that of {concrete.__name__}.",
            hint=f"Write register({concrete.__name__}, policies=…)",
            obj=model,
        )
    elif found and is_factory_model(model):
        yield error(
            "E106",
            "register() gives policies to a model that has a place for them of its own.",
            hint=f"Write policies = […] in class PGCraft of {model.__name__}",
            obj=model,
        )
    elif len(found) > 1:
        yield error(
            "E106",
            f"register() gives policies {len(found)} times, for the migrations of "
            f"{listed(registration.app_label for registration in found)}.",
            hint=f"Write all of them in one register({model.__name__}, policies=[…])",
            obj=model,
        )
    elif found and (exposing := {item.app_label for item in registrations(model) if item.apis} - {found[0].app_label}):
        yield error(
            "E106",
            f"register() gives policies for the migrations of {found[0].app_label!r}, and an API for those of "
            f"{listed(sorted(exposing))}: between the two, requests would see all rows.",
            hint=f"Write both in one register({model.__name__}, api=API(), policies=[…])",
            obj=model,
        )


def _names(model: type[models.Model], policies: Sequence[Policy]) -> Iterator[CheckMessage]:
    names: Counter[str] = Counter()
    for policy in policies:
        made = policy_names(policy, expand_commands(policy.commands)).values()
        names.update({name if isinstance(name, str) else "" for name in (policy.name, *made)})
    for name, times in names.items():
        if not is_identifier(name):
            message = f"A policy is called {name!r}, which PostgreSQL cannot hold."
            yield error("E102", message, hint='Write Policy("owner", …)', obj=model)
        elif times > 1:
            message = f"{times} policies would be called {name!r}: one for several commands becomes one for each."
            yield error("E102", message, hint=f"Write name={source(f'{name}_2')} in one of them", obj=model)


def _same_objects(apps: Apps) -> Iterator[CheckMessage]:
    """Find policies of two models that would be one, or have one function.

    Two models may have one table; and a function's name is made of those of table and policy: `a_b` and `c`, `a` and
    `b_c`.
    """
    known: dict[ObjectKey, tuple[type[models.Model], DatabaseObject]] = {}
    for model in possible_models(apps):
        for item in policy_objects(model, ()) if not model._meta.proxy else ():
            if not isinstance(item, Function | PolicyObject):
                continue
            other, same = known.setdefault(item.key, (model, item))
            if other is not model and same != item:
                what = f"be one: {item.describe()}"
                if isinstance(item, Function):
                    what = f"have one function: its name, {item.key.name!r}, is made of those of table and policy"
                yield error(
                    "E102",
                    f"Policies of {other._meta.label} and {model._meta.label} would {what}.",
                    hint="Write another name= in one of them",
                    obj=model,
                )


def _commands(model: type[models.Model], policy: Policy) -> Iterator[CheckMessage]:
    commands = policy.commands
    unknown = [] if commands == ALL or not is_names(commands) else [item for item in commands if item not in PRIVILEGES]
    if unknown or not expand_commands(commands):
        near = nearest(unknown[0], PRIVILEGES) if unknown else None
        yield error(
            "E103",
            f'The policy {policy.name!r} has commands={commands!r}; it must be "all" or a list of commands.',
            hint=f"Write {source(near)}" if near else f"The commands are {listed(PRIVILEGES)}",
            obj=model,
        )


def _roles(model: type[models.Model], policy: Policy) -> Iterator[CheckMessage]:
    roles = get_config().request_roles
    if not is_names(policy.roles):
        message = f"The policy {policy.name!r} has roles={policy.roles!r}; it must be a list of names."
        yield error("E104", message, hint=f"Write roles={source(list(roles[:1]))}", obj=model)
        return
    for role in policy.roles:
        if role not in roles:
            yield error(
                "E104",
                f"The policy {policy.name!r} names the role {role!r}, which no request can switch to.",
                hint=f'Write one of {listed(roles)}, or "ROLES": {source(sorted({*roles, role}))} in PGCRAFT',
                obj=model,
            )


def _conditions(model: type[models.Model], policy: Policy) -> Iterator[CheckMessage]:
    if not policy.conditions or (policy.using is None and set(expand_commands(policy.commands)) - {"insert"}):
        yield error(
            "E105",
            f"The policy {policy.name!r} does not say which rows it is about.",
            hint=f'Write Policy({source(policy.name)}, using=Q(user=Claim("sub")))',
            obj=model,
        )
    for part, condition in policy.conditions.items():
        try:
            rendered = render(model, condition, policy.name)
        except FieldError as wrong:
            yield error(
                "E105",
                f"{part} of the policy {policy.name!r} is no condition on a row: {wrong}",
                hint=f'Write {part}=Q(user=Claim("sub")), with the names of fields of {model.__name__}',
                obj=model,
            )
            continue
        if part == "using" and not isinstance(condition, str):
            yield from _indexes(model, policy, rendered)


def _indexes(model: type[models.Model], policy: Policy, rendered: Rendered) -> Iterator[CheckMessage]:
    """Each request filters by what a policy compares: at least one of its columns has to be found by an index."""
    if rendered.fields and not any(is_indexed(model, field) for field in rendered.fields):
        names = [field.name for field in rendered.fields]
        line = f"Write db_index=True in the field {source(names[0])}"
        if not is_factory_model(model):
            line += ", or make the index in a migration, and write the number of this warning in SILENCED_SYSTEM_CHECKS"
        yield warning(
            "W101",
            f"No index begins with {listed(names)}: for the policy {policy.name!r} each request reads all rows.",
            hint=line,
            obj=model,
        )
