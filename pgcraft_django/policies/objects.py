"""Policies as objects. What a factory keeps beside a table is protected with the table.

A companion model, such as a history, shows a row to whom its policies let see the row that it is about. Where it has
copies of the columns that a policy reads, they decide, so that the past of a row belongs to whom it belonged to then;
where it has a copy of the key, the row as it is now decides; else it is closed. A key can be used again: what a log
says of a former row with it is nobody's then.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.core.exceptions import FieldError
from django.db import models

from pgcraft_django.api import ALL
from pgcraft_django.columns import AnyField, column_name, column_type, column_types
from pgcraft_django.factories.base import get_factory
from pgcraft_django.factories.companion import copied_names
from pgcraft_django.naming import dollar_quote, plain_text, quote_name, quote_names, shorten
from pgcraft_django.objects import DatabaseObject, Function, FunctionGrant, Index, Role, RowSecurity
from pgcraft_django.objects import Policy as PolicyObject
from pgcraft_django.policies.conditions import Rendered, in_keys, keys_of, render
from pgcraft_django.policies.declaration import Policy, expand_commands, protecting_policies
from pgcraft_django.registry import table_schema


def policy_objects(model: type[models.Model], roles: Collection[str]) -> Iterator[DatabaseObject]:
    """Yield the row-level security of the model's table. `roles` are those with a privilege on it."""
    owner = getattr(model, "pgcraft_owner", None)
    policies = protecting_policies(model)
    if not policies:
        return
    yield from _marks(model)
    yield RowSecurity(schema=table_schema(model), table=get_factory(model).source(model, table_schema(model), ()).table)
    for policy in policies:
        commands = expand_commands(policy.commands)
        try:
            if owner is None:
                yield from _objects(model, policy, commands, _rendered(model, policy), roles)
            elif {ALL, "select"} & set(commands):
                yield from _objects(model, policy, ["select"], _of_companion(model, owner, policy), roles)
        except FieldError:
            continue  # left to the checks; until then it lets nobody through


def _marks(model: type[models.Model]) -> Iterator[Index]:
    """Yield the index that finds where the lines about the present row of a key begin."""
    owner: Any = getattr(model, "pgcraft_owner", None)
    key = copied_names(model).get(owner._meta.pk.name) if owner else None
    if key is None or (former := get_factory(model).former) is None:
        return
    schema, table = table_schema(model), model._meta.db_table
    yield Index(
        schema=schema,
        table=table,
        name=shorten(f"{table}_begins"),
        definition=f"({quote_names([column_name(key), former[0]])}) WHERE {former[2]}",
        reads={quote_name(schema, table): column_types(model._meta.local_concrete_fields)},
    )


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
    for function in (function for part in rendered.values() for function in part.functions):
        yield function
        for role in sorted(set(roles) & set(limited) if limited else roles):
            yield FunctionGrant(schema=function.schema, function=function.name, arguments=function.arguments, role=role)
    using, check = (rendered[part].sql if part in rendered else "" for part in ("using", "check"))
    for command in commands:
        yield PolicyObject(
            schema=schema,
            table=source.table,
            name=plain_text(policy.name) if len(commands) == 1 else f"{policy.name}_{command}",
            roles=limited,
            command=command,
            permissive=policy.permissive,
            using="" if command == "insert" else using,
            check={"insert": check or using, "select": "", "delete": ""}.get(command, check),
            reads=source.reads,
            requires=sorted({tuple(item.key) for part in rendered.values() for item in part.functions}),
        )


def _of_companion(model: type[models.Model], owner: Any, policy: Policy) -> dict[str, Rendered]:
    """Return who sees a row of a companion model; empty for nobody."""
    copies = copied_names(model)
    name = f"{_prefix(model, policy)}_using"
    if policy.using is None:
        return {}
    needed = {field.name for field in render(owner, policy.using, name).fields}
    if needed - owner.pgcraft_factory.stamped <= copies.keys():
        return {"using": render(model, policy.using, name)}
    key = owner._meta.pk
    if key.name not in copies:
        return {}
    copy = copies[key.name]
    function = keys_of(table_schema(model), name, key, policy.using)
    condition = in_keys(quote_name(column_name(copy)), function)
    if get_factory(model).former is None:
        return {"using": Rendered(condition, [copy], [function])}
    line, begins = _present(model, copy, f"{name}_begins")
    called = f"{quote_name(begins.schema, begins.name)}({quote_name(column_name(copy))})"
    sql = f"{condition} AND {quote_name(column_name(line))} >= {called}"
    return {"using": Rendered(sql, [copy, line], [function, begins])}


def _present(model: type[models.Model], key: AnyField, name: str) -> tuple[AnyField, Function]:
    """Return the key of a log's lines, and the function that returns the first one about the present row of a key."""
    line, begins, condition = get_factory(model).former  # type: ignore[misc]
    field: AnyField = model._meta.get_field(line)  # type: ignore[assignment]
    schema, table = table_schema(model), model._meta.db_table
    body = (
        "BEGIN\n"
        f"RETURN coalesce((SELECT {begins} FROM {quote_name(schema, table)} AS line\n"
        f"WHERE line.{quote_name(column_name(key))} = $1 AND {condition}), 0);\n"
        "END"
    )
    function = Function(
        schema=schema,
        name=shorten(name),
        arguments=column_type(key),
        returns="bigint",
        language="plpgsql",  # it keeps its plan
        volatility="stable",
        security_definer=True,
        body=f"AS {dollar_quote(body)}",
        reads={quote_name(schema, table): column_types(model._meta.local_concrete_fields)},
    )
    return field, function
