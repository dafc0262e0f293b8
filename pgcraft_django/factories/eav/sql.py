"""Conditions and expressions of a model as SQL over a row of its entity's table, rendered without a database."""

from typing import Any

from django.db import models
from django.db.models.expressions import ExpressionWrapper, RawSQL
from django.db.models.lookups import Lookup
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode

from pgcraft_django.columns import AnyField
from pgcraft_django.conditions import columns_of, compiled, compiler_of, field_errors
from pgcraft_django.factories.eav.document import place

_CONDITIONS = Lookup, WhereNode, ExpressionWrapper


def condition_sql(model: type[models.Model], condition: Any, row: str = "") -> tuple[str, list[AnyField]]:
    """Return a `Q` as SQL about `row`, and the fields that it reads. Raises `FieldError` if it reaches further."""
    query = Query(model, alias_cols=False)
    with field_errors():
        return _render(query, query.build_where(condition), row)


def expression_sql(model: type[models.Model], expression: Any) -> tuple[str, list[AnyField]]:
    """Return an expression as SQL, and the fields that it reads."""
    query = Query(model, alias_cols=False)
    return _render(query, expression.resolve_expression(query, allow_joins=False))


def _render(query: Query, expression: Any, row: str = "") -> tuple[str, list[AnyField]]:
    columns = {column: column.target for column in columns_of(expression)}
    found = {
        column: RawSQL(place(field, row).replace("%", "%%"), [], output_field=column.output_field)  # noqa: S611
        for column, field in columns.items()
    }
    sql = compiled(_in_brackets(expression).replace_expressions(found), compiler_of(query))
    return sql, list(dict.fromkeys(columns.values()))


def _in_brackets(expression: Any) -> Any:
    """Return the expression with brackets around the conditions that it compares with.

    Django puts none around what begins with one, and the place of an attribute does.
    """
    parts = [part and _in_brackets(part) for part in expression.get_source_expressions()]
    if isinstance(expression, Lookup) and any(isinstance(part, _CONDITIONS) for part in parts[1:]):
        parts[1] = models.Func(parts[1], template="(%(expressions)s)")
    copied = expression.copy()
    copied.set_source_expressions(parts)
    return copied
