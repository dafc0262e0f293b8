"""Indexes of attributes: expressions over the document, the same as the views have, so that the planner uses them."""

from collections.abc import Iterator
from typing import Any

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models.expressions import OrderBy

from pgcraft_django.columns import AnyField, column_name
from pgcraft_django.factories.eav.document import ENTITY, is_column, place, stored
from pgcraft_django.factories.eav.sql import condition_sql, expression_sql
from pgcraft_django.naming import shorten
from pgcraft_django.objects import Index


def attribute_indexes(model: type[models.Model], schema: str) -> Iterator[Index]:
    """Yield what `unique`, `db_index` and `class Meta` ask for. Columns of foreign keys have Django's own."""
    table = model._meta.db_table

    def index(name: str, definition: str, fields: list[AnyField], *, unique: bool) -> Index:
        return Index(
            schema=schema,
            table=f"{table}{ENTITY}",
            name=name,
            definition=definition,
            unique=unique,
            reads=stored(model, schema, fields),
        )

    own: Any = model._meta.local_concrete_fields
    for field in own:
        if not is_column(field) and (field.unique or field.db_index):
            name = shorten(f"{table}_{column_name(field)}_{'key' if field.unique else 'idx'}")
            yield index(name, f"USING btree (({place(field)}))", [field], unique=field.unique)
    for names in model._meta.unique_together:
        fields = [_field(model, name) for name in names]
        name = shorten(f"{table}_{'_'.join(column_name(field) for field in fields)}_key")
        yield index(name, f"USING btree ({_columns(fields)})", fields, unique=True)
    for item in (*model._meta.indexes, *model._meta.constraints):
        if isinstance(item, models.Index | models.UniqueConstraint):
            definition, fields = _definition(model, item)
            yield index(item.name, definition, fields, unique=isinstance(item, models.UniqueConstraint))


def _definition(model: type[models.Model], item: Any) -> tuple[str, list[AnyField]]:
    read: list[AnyField] = []
    parts: list[str] = []
    orders = getattr(item, "fields_orders", None) or [(name, "") for name in item.fields]
    for position, (name, order) in enumerate(orders):
        field = _field(model, name)
        read.append(field)
        operators = f" {item.opclasses[position]}" if item.opclasses else ""
        parts.append(f"({place(field)}){operators}{f' {order}' if order else ''}")
    for expression in item.expressions:
        inner, options = _unwrapped(expression)
        sql, fields = expression_sql(model, inner)
        read += fields
        parts.append(f"({sql}){options}")
    of_postgres = hasattr(item, "get_with_params")
    method = item.suffix if of_postgres else "btree"
    clauses = [f"USING {method} ({', '.join(parts)})"]
    if getattr(item, "nulls_distinct", None) is False:
        clauses.append("NULLS NOT DISTINCT")
    if of_postgres and (settings := item.get_with_params()):
        clauses.append(f"WITH ({', '.join(settings)})")
    if item.condition is not None:
        sql, fields = condition_sql(model, item.condition)
        read += fields
        clauses.append(f"WHERE {sql}")
    return " ".join(clauses), list(dict.fromkeys(read))


def _unwrapped(expression: Any) -> tuple[Any, str]:
    """Return what is indexed, and what stands behind its brackets."""
    operators = order = ""
    while isinstance(expression, OpClass | OrderBy):
        if isinstance(expression, OpClass):
            operators = f" {expression.extra['name']}"
        else:
            order = " DESC" if expression.descending else ""
            order += " NULLS FIRST" if expression.nulls_first else " NULLS LAST" if expression.nulls_last else ""
        [expression] = expression.get_source_expressions()
    return expression, f"{operators}{order}"


def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.pk if name == "pk" else model._meta.get_field(name)


def _columns(fields: list[AnyField]) -> str:
    return ", ".join(f"({place(field)})" for field in fields)
