"""Writes with the rights of who asks, for models with policies.

The trigger of a view has no rights of its own: for each command it calls a function, which writes to the table behind
the view with the caller's privileges, so that PostgreSQL itself applies the policies. The functions are parsed when
they are made, so the caller needs no access to the schema of the table. Each takes rows of the view and does what the
view does: whoever calls it by hand gets no further than by the view.
"""

from collections.abc import Iterator, Sequence

from django.db import models

from pgcraft_django.api import Resource
from pgcraft_django.bodies import indent_lines, read_body, read_sql
from pgcraft_django.columns import AnyField, column_name, postgresql
from pgcraft_django.factories.eav.document import DATA, ENTITY, is_column, place, stored
from pgcraft_django.factories.eav.objects import (
    Parts,
    inserted,
    next_key,
    of,
    same,
    target,
    write_name,
    write_trigger,
)
from pgcraft_django.naming import dollar_quote, quote_name, shorten
from pgcraft_django.objects import DatabaseObject, Function, FunctionGrant
from pgcraft_django.objects.function import GROWING
from pgcraft_django.plugins.base import option

WRITERS = "pg_write_all_data"
"""PostgreSQL's role for who may write to all tables, be they no owner: they write to the model's own relation, too."""
OLD, NEW = "($1)", "($2)"
"""The rows of the view that each function takes."""


def has_policies(model: type[models.Model]) -> bool:
    """Tell whether the model declares policies. What they are is read in `policies`, which is above the factories."""
    return bool(option(model, "policies"))


def columns_behind(parts: Parts, fields: Sequence[AnyField], privilege: str) -> list[str]:
    """Return the columns of the entity's table that a role writes with a privilege on a view of `fields`."""
    if privilege == "insert":
        written = inserted(parts, fields)
        fields = [field for field in parts.fields if target(field) in written]
    elif privilege == "update":
        fields = [field for field in fields if not field.primary_key]
    else:
        return []
    return sorted({column_name(field) if is_column(field) else DATA for field in fields})


def caller_objects(parts: Parts, schema: str, view: str, fields: Sequence[AnyField]) -> Iterator[DatabaseObject]:
    """Yield what lets a view with `fields` be written to. Without the key, rows can only be added."""
    functions = [function for _, function in _functions(parts, schema, view, fields)]
    functions += [*_new_key(parts), _changed_here(parts)]
    yield from functions
    if (schema, view) == (parts.schema, parts.name):
        yield from (_grant(function, WRITERS) for function in functions)
    has_key = parts.key_field in fields
    names = {command: quote_name(schema, _name(view, command)) for command in ("insert", "update", "delete", "lock")}
    insert = f"SELECT added INTO NEW.{parts.key}" if has_key else "PERFORM"
    change = read_sql(
        __file__,
        "as_caller_change",
        **names,
        same_key=same(parts.key_field, of("OLD", parts.key_field), of("NEW", parts.key_field)),
        refuse_other_key=parts.refuse_other_key,
        conflict_message=parts.conflict_message,
        refuse_twice=parts.refuse_twice,
    )
    function = Function(
        schema=parts.schema,
        name=write_name(parts, schema, view),
        returns="trigger",
        language="plpgsql",
        body=read_body(
            __file__,
            "as_caller",
            insert=f"{insert} FROM {names['insert']}(NULL, NEW) AS added;",
            change=change if has_key else "RETURN NULL;",
        ),
        reads=parts.reads,
        settings=GROWING,
    )
    yield function
    yield write_trigger(function, schema, view, has_key=has_key)


def caller_grants(parts: Parts, resource: Resource) -> Iterator[FunctionGrant]:
    """Yield what the roles of an API need to write."""
    behind = {"insert": [*_new_key(parts)], "update": [_changed_here(parts)]}
    for privilege, function in _functions(parts, resource.schema, resource.name, resource.fields):
        for role in sorted(resource.roles(privilege)):
            for called in (function, *behind.get(privilege, ())):
                yield _grant(called, role)


def _grant(function: Function, role: str) -> FunctionGrant:
    return FunctionGrant(schema=function.schema, function=function.name, arguments=function.arguments, role=role)


def _name(view: str, command: str) -> str:
    return shorten(f"pgcraft_{view}_{command}")


def _functions(parts: Parts, schema: str, view: str, fields: Sequence[AnyField]) -> Iterator[tuple[str, Function]]:
    """Yield each function with the privilege that it is for."""
    key = parts.key_field
    kind = str(key.rel_db_type(postgresql()))
    row = quote_name(schema, view)
    behind = [tuple(item.key) for item in (*_new_key(parts), _changed_here(parts))]

    def function(privilege: str, command: str, returns: str, statement: str) -> tuple[str, Function]:
        made = Function(
            schema=schema,
            name=_name(view, command),
            arguments=f"{row}, {row}",
            returns=returns,
            body=f"BEGIN ATOMIC\n    {indent_lines(statement, '    ')};\nEND",
            requires=[("relation", schema, view), *behind],
            reads=parts.reads,
        )
        return privilege, made

    if key not in fields:
        values = inserted(parts, fields, row=NEW, with_key=False)
        statement = f"INSERT INTO {parts.entity} ({', '.join(values)})\nVALUES ({', '.join(values.values())})"
        yield function("insert", "insert", "void", statement)
        return
    where = f"WHERE entity.{parts.key} = {of(OLD, key)}"
    written = [field for field in fields if not field.primary_key]
    yield function("insert", "insert", kind, _insert(parts, fields, kind))
    yield function("delete", "delete", "boolean", f"DELETE FROM {parts.entity} AS entity\n{where}\nRETURNING true")
    yield function("update", "lock", "text", _lock(parts, written, where))
    yield function("update", "update", "void", _update(parts, written, where))


def _insert(parts: Parts, fields: Sequence[AnyField], kind: str) -> str:
    """Return the INSERT that says which key the row has got: RETURNING would ask for the right to read it, too."""
    values = inserted(parts, fields, row=NEW)
    given = values[parts.key]
    made = "".join(f"{quote_name(item.schema, item.name)}()" for item in _new_key(parts))
    values[parts.key] = f"new.{parts.key}"
    key = f"coalesce({given}, {made})::{kind}" if made else given
    return (
        f"WITH new AS (SELECT {key} AS {parts.key}), added AS (\n"
        f"    INSERT INTO {parts.entity} ({', '.join(values)})\n"
        f"    SELECT {', '.join(values.values())}\n"
        f"    FROM new\n"
        f")\n"
        f"SELECT new.{parts.key} FROM new"
    )


def _lock(parts: Parts, written: Sequence[AnyField], where: str) -> str:
    """Return the SELECT that locks a row, and says in what state it is: as the statement found it, or changed since."""
    as_found, as_wanted = (
        "\n        AND ".join(
            f"({_unchanged(field)} OR {same(field, place(field, 'entity'), of(row, field))})" for field in written
        )
        or "true"
        for row in (OLD, NEW)
    )
    changed_here = _changed_here(parts)
    is_changed_here = f"{quote_name(changed_here.schema, changed_here.name)}(entity.{parts.key})"
    return (
        f"SELECT CASE\n"
        f"    WHEN {as_found} THEN 'as found'\n"
        f"    WHEN NOT {is_changed_here} THEN 'overtaken'\n"
        f"    WHEN {as_wanted} THEN 'as wanted'\n"
        f"    ELSE 'changed here'\n"
        f"END\n"
        f"FROM {parts.entity} AS entity\n"
        f"{where}\n"
        f"FOR NO KEY UPDATE"
    )


def _update(parts: Parts, written: Sequence[AnyField], where: str) -> str:
    """Return the UPDATE of a row. What the statement does not change, it does not overwrite."""
    assigned = ",\n    ".join(
        f"{target(field)} = CASE WHEN {_unchanged(field)} THEN {place(field, 'entity')} ELSE {of(NEW, field)} END"
        for field in written
    )
    assigned = assigned or f"{parts.key} = entity.{parts.key}"
    return f"UPDATE {parts.entity} AS entity\nSET\n    {assigned}\n{where}"


def _unchanged(field: AnyField) -> str:
    return same(field, of(OLD, field), of(NEW, field))


def _new_key(parts: Parts) -> Iterator[Function]:
    """Yield the function that makes a key, if the database does: who inserts a row has no privilege on the sequence."""
    if (key := next_key(parts)) is not None:
        yield Function(
            schema=parts.schema,
            name=shorten(f"{parts.name}_new_key"),
            returns="bigint",
            security_definer=True,
            body=f"AS {dollar_quote(f'SELECT {key}')}",
            requires=[("relation", parts.schema, f"{parts.name}{ENTITY}")],
        )


def _changed_here(parts: Parts) -> Function:
    """Return the function that looks where a caller may not: who writes has no privilege on `xmin`."""
    return Function(
        schema=parts.schema,
        name=shorten(f"{parts.name}_changed_here"),
        arguments=str(parts.key_field.rel_db_type(postgresql())),
        returns="boolean",
        security_definer=True,
        body=f"AS {dollar_quote(f'SELECT {parts.changed_here(OLD)}')}",
        reads=stored(parts.model, parts.schema, [parts.key_field]),
    )
