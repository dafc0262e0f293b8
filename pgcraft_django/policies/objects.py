"""Policies as objects. What a factory keeps beside a table is protected with the table; see `companions`."""

from collections.abc import Collection, Iterator, Mapping

from django.core.exceptions import FieldError
from django.db import models

from pgcraft_django.api import ALL
from pgcraft_django.columns import column_name
from pgcraft_django.factories.base import get_factory
from pgcraft_django.naming import plain_text
from pgcraft_django.objects import DatabaseObject, FunctionGrant, Role, RowSecurity
from pgcraft_django.objects import Policy as PolicyObject
from pgcraft_django.policies.companions import indexes, visible_rows
from pgcraft_django.policies.conditions import Rendered, render
from pgcraft_django.policies.declaration import Policy, expand_commands, policy_names, protecting_policies
from pgcraft_django.registry import table_schema


def policy_objects(model: type[models.Model], roles: Collection[str]) -> Iterator[DatabaseObject]:
    """Yield the row-level security of the model's table. `roles` are those with a privilege on it."""
    owner = getattr(model, "pgcraft_owner", None)
    policies = protecting_policies(model)
    if not policies:
        return
    yield RowSecurity(schema=table_schema(model), table=get_factory(model).source(model, table_schema(model), ()).table)
    for policy in policies:
        commands = expand_commands(policy.commands)
        try:
            if owner is None:
                yield from _objects(model, policy, commands, _rendered(model, policy), roles)
            elif {ALL, "select"} & set(commands):
                visible = visible_rows(model, owner, policy, f"{_prefix(model, policy)}_using")
                if visible is None and not policy.permissive and policy.using is not None:
                    visible = Rendered("false", [])  # without it, the others would let through what it restricts
                if visible:
                    if roles and not isinstance(policy.using, str):  # which columns SQL compares is not known
                        yield from indexes(model, owner, visible)
                    yield from _objects(model, policy, ["select"], {"using": visible}, roles)
        except FieldError:
            continue  # left to the checks; until then it lets nobody through


def _rendered(model: type[models.Model], policy: Policy) -> dict[str, Rendered]:
    name = _prefix(model, policy)
    return {part: render(model, condition, f"{name}_{part}") for part, condition in policy.conditions.items()}


def _prefix(model: type[models.Model], policy: Policy) -> str:
    return f"{model._meta.db_table}_{policy.name}"


def _objects(
    model: type[models.Model],
    policy: Policy,
    commands: Collection[str],
    rendered: Mapping[str, Rendered],
    roles: Collection[str],
) -> Iterator[DatabaseObject]:
    if not rendered:
        return
    schema = table_schema(model)
    fields = sorted({field for part in rendered.values() for field in part.fields}, key=column_name)
    source = get_factory(model).source(model, schema, fields)
    limited = sorted({plain_text(role) for role in policy.roles})
    yield from (Role(name=role) for role in limited)
    # Who has the privilege may be a member of a role that the policy is limited to, which then counts for both.
    callers = limited if limited and roles else sorted(roles)
    for function in (function for part in rendered.values() for function in part.functions):
        yield function
        for role in callers:
            yield FunctionGrant(schema=function.schema, function=function.name, arguments=function.arguments, role=role)
    using, check = (rendered[part].sql if part in rendered else "" for part in ("using", "check"))
    for command, name in policy_names(policy, commands).items():
        yield PolicyObject(
            schema=schema,
            table=source.table,
            name=name,
            roles=limited,
            command=command,
            permissive=policy.permissive,
            using="" if command == "insert" else using,
            check={"insert": check or using, "select": "", "delete": ""}.get(command, check),
            reads=source.reads,
            requires=sorted({tuple(item.key) for part in rendered.values() for item in part.functions}),
        )
