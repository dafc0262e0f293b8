"""Upserts by a function of the API: `ON CONFLICT` does not work on a view that triggers write to.

It takes one unnamed JSON argument, so that PostgREST passes the body of a request on: with named arguments, a value
that is missing could not be told from one that is to be NULL.
"""

from collections.abc import Iterator

from django.db import models

from pgcraft_django.api import Resource
from pgcraft_django.bodies import read_body
from pgcraft_django.columns import AnyField, column_name
from pgcraft_django.factories.base import default_sql
from pgcraft_django.factories.eav.objects import Parts
from pgcraft_django.naming import quote_name, quote_text, shorten
from pgcraft_django.objects import DatabaseObject, Function, FunctionGrant

ARGUMENT = "jsonb"


def upsert_objects(parts: Parts, resource: Resource) -> Iterator[DatabaseObject]:
    """Yield the function `rpc/<name>_upsert`, for the roles that may read, insert and update."""
    roles = resource.roles("select") & resource.roles("insert") & resource.roles("update")
    targets = [field for field in resource.fields if _is_unique(parts.model, field)]
    if not roles or not targets or parts.key_field not in resource.fields:
        return
    view = quote_name(resource.schema, resource.name)
    columns = [quote_name(column) for column in resource.columns]
    function = Function(
        schema=resource.schema,
        name=shorten(f"{resource.name}_upsert"),
        arguments=ARGUMENT,
        returns=f"SETOF {view}",
        language="plpgsql",
        body=read_body(
            __file__,
            "upsert",
            view=view,
            shown_view=quote_text(resource.name),
            names=", ".join(map(quote_text, resource.columns)),
            columns=",\n".join(columns),
            values=",\n".join(_inserted(field) for field in resource.fields),
            updates=_updates(view, resource, targets),
        ),
        requires=[("relation", resource.schema, resource.name)],
        reads=parts.reads,
        comment=_comment(resource, targets),
    )
    yield function
    for role in sorted(roles):
        yield FunctionGrant(schema=function.schema, function=function.name, arguments=ARGUMENT, role=role)


def _is_unique(model: type[models.Model], field: AnyField) -> bool:
    alone = [
        item.fields
        for item in model._meta.constraints
        if isinstance(item, models.UniqueConstraint) and item.condition is None and not item.expressions
    ]
    return field.unique or (field.name,) in alone


def _comment(resource: Resource, targets: list[AnyField]) -> str:
    found_by = " or ".join(column_name(field) for field in _in_order(targets))
    return (
        f"Inserts rows into {resource.name}, and updates those that are there already.\n\n"
        "Takes an object of columns and values, or an array of such objects. "
        f"A row is found by {found_by}. What is left out stays as it is, or gets its default."
    )


def _in_order(targets: list[AnyField]) -> list[AnyField]:
    """Return the unique columns in the order in which a row is looked for."""
    return sorted(targets, key=lambda field: not field.primary_key)


def _is_given(field: AnyField) -> str:
    return f"item ? {quote_text(column_name(field))}"


def _inserted(field: AnyField) -> str:
    column = quote_name(column_name(field))
    return f"CASE WHEN {_is_given(field)} THEN given.{column} ELSE {default_sql(field) or 'NULL'} END"


def _updates(view: str, resource: Resource, targets: list[AnyField]) -> str:
    """Return one UPDATE for each unique column: the key first, then the first one that has a value."""
    assignments = []
    for field in resource.fields:
        column = quote_name(column_name(field))
        given = f"CASE WHEN {_is_given(field)} THEN given.{column} ELSE known.{column} END"
        assignments.append(f"{column} = {f'known.{column}' if field.primary_key else given}")
    lines = []
    for number, field in enumerate(_in_order(targets)):
        column = quote_name(column_name(field))
        lines += [
            f"{'ELSIF' if number else 'IF'} given.{column} IS NOT NULL THEN",
            f"    UPDATE {view} AS known",
            "    SET",
            *(f"        {line}{',' if line is not assignments[-1] else ''}" for line in assignments),
            f"    WHERE known.{column} = given.{column}",
            "    RETURNING known.* INTO saved;",
        ]
    lines += ["ELSE", "    PERFORM WHERE false;  -- so that nothing is found", "END IF;"]
    return "\n".join(lines)
