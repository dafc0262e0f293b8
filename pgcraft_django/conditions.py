"""A condition as SQL: a `Q` over a model's own columns, rendered without a database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import EmptyResultSet, FieldError, FullResultSet, ValidationError
from django.db import NotSupportedError, models
from django.db.models.expressions import Col, Subquery
from django.db.models.sql import Query
from django.utils import timezone

from pgcraft_django.columns import AnyField, column_name, compiling
from pgcraft_django.naming import quote_value

NEWER_POSTGRESQL = 99  # than any that Django tells apart


@contextmanager
def field_errors() -> Iterator[None]:
    """Turn the other errors that Django raises for what is no condition into `FieldError`, which it mostly raises."""
    try:
        yield
    except (TypeError, ValueError, ValidationError) as wrong:
        raise FieldError(str(wrong)) from wrong


def condition_sql(model: type[models.Model], condition: models.Q, row: str = "") -> tuple[str, list[AnyField]]:
    """Return the condition, with columns by their plain names or as those of `row`, and the fields that it reads.

    Raises `FieldError` if it is no condition on columns of the model.
    """
    if not isinstance(condition, models.Q):
        raise FieldError(f"it is of type {type(condition).__name__}, and no Q.")
    query = Query(model, alias_cols=bool(row))
    # The day of a moment is that of the project, and not of whoever is asked for.
    with timezone.override(None), field_errors():
        where = query.build_where(condition)
        where = where.relabeled_clone({model._meta.db_table: row})
        fields = {column_name(column.target): column.target for column in columns_of(where)}
        return compiled(where, compiler_of(query)), list(fields.values())


def compiled(expression: Any, compiler: Any) -> str:
    """Return a condition or an expression as SQL.

    For a condition that is always true or false, as one with an empty list, Django has an exception and no SQL. What
    the oldest PostgreSQL does not have, such as `UUID7()`, is compiled for a newer one.
    """
    try:
        return literal(*compiler.compile(expression))
    except NotSupportedError:
        if compiler.connection.pg_version >= NEWER_POSTGRESQL * 10000:
            raise
        compiler.connection = compiling(NEWER_POSTGRESQL)
        return compiled(expression, compiler)
    except EmptyResultSet:
        return "false"
    except FullResultSet:
        return "true"


def compiler_of(query: Any) -> Any:
    """Return the compiler of a query for SQL that `literal` fills in: a "%" in a name is doubled, as no parameter."""
    compiler = query.get_compiler(connection=compiling(), elide_empty=False)
    method = "quote_name" if hasattr(compiler, "quote_name") else "quote_name_unless_alias"  # before Django 6.1
    quote = getattr(compiler, method)
    setattr(compiler, method, lambda name: quote(name).replace("%", "%%"))
    return compiler


def literal(sql: str, parameters: Any) -> str:
    """Return the statement with its parameters in their places."""
    return sql % tuple(quote_value(value) for value in parameters)


def columns_of(expression: Any) -> Iterator[Col]:
    """Yield each column that a resolved expression names.

    Raises `FieldError` if it has a subquery: PostgreSQL would take the names of the row for names of its own.
    """
    if isinstance(expression, Query | Subquery):
        raise FieldError("it has a subquery. Go through a relation of the model, or write the condition in SQL.")
    if isinstance(expression, Col):
        yield expression
    for part in expression.get_source_expressions() if hasattr(expression, "get_source_expressions") else ():
        yield from columns_of(part)
