"""What must be true of an entity: `null=False`, `choices`, and the checks of `Meta.constraints`.

Each rule is a CHECK of the entity's table. A trigger looks first and says in plain words what is wrong: the message of
a CHECK would show the whole row to whoever wrote a part of it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from django.core.exceptions import FieldError
from django.db import models

from pgcraft_django.columns import AnyField, column_name, postgresql
from pgcraft_django.factories.eav.document import ENTITY, place, stored
from pgcraft_django.factories.eav.sql import condition_sql
from pgcraft_django.naming import quote_text, quote_value, shorten
from pgcraft_django.objects import Constraint


class Rule(NamedTuple):
    """A condition that is not false of any row."""

    name: str
    condition: str
    """About a row of the entity's table."""
    of_new: str
    """About the row that a trigger sees."""
    error: str
    message: str
    """SQL for the text."""
    column: str
    fields: list[AnyField]


def get_rules(model: type[models.Model]) -> Iterator[Rule]:
    """Yield the rules that the model declares."""
    for field in model._meta.local_concrete_fields:
        if not field.primary_key:
            yield from _of_field(model, field)
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.CheckConstraint):
            try:
                condition, fields = condition_sql(model, constraint.condition)
                of_new, _ = condition_sql(model, constraint.condition, "NEW")
            except FieldError:  # Django's own checks say so
                continue
            message = _broken(model, constraint.name)
            yield Rule(constraint.name, condition, of_new, "check_violation", message, "", fields)


def _of_field(model: type[models.Model], field: AnyField) -> Iterator[Rule]:
    table, column = model._meta.db_table, column_name(field)

    def rule(suffix: str, condition: str, error: str, message: str) -> Rule:
        # Only the first one: a choice may have it, too.
        of_table, of_new = (condition.replace("{}", place(field, row), 1) for row in ("", "NEW"))
        return Rule(shorten(f"{table}_{column}_{suffix}"), of_table, of_new, error, message, column, [field])

    if not field.null:
        text = f'null value in column "{column}" of relation "{table}" violates not-null constraint'
        yield rule("required", "{} IS NOT NULL", "not_null_violation", quote_text(text))
    if allowed := _choices(field):
        message = f"pg_catalog.format('%L is none of the choices of %I.', {place(field, 'NEW')}, {quote_text(column)})"
        yield rule("choices", f"{{}} IN ({', '.join(allowed)})", "check_violation", message)
    if check := postgresql().data_type_check_constraints.get(field.get_internal_type()):
        name = shorten(f"{table}_{column}_check")
        yield rule("check", check.replace('"%(column)s"', "{}"), "check_violation", _broken(model, name))


def _choices(field: AnyField) -> list[str]:
    """Return the values that the field may have, as literals; none if it may have any."""
    values = [value for value, _ in field.flatchoices or () if value is not None]
    if not values or getattr(field, "base_field", None):
        return []
    empty = [""] if field.blank and field.empty_strings_allowed else []
    connection = postgresql()
    return [quote_value(field.get_db_prep_save(value, connection)) for value in dict.fromkeys([*values, *empty])]


def _broken(model: type[models.Model], name: str) -> str:
    return quote_text(f'new row for relation "{model._meta.db_table}" violates check constraint "{name}"')


def rule_constraints(model: type[models.Model], schema: str) -> Iterator[Constraint]:
    """Yield the CHECKs of the entity's table."""
    for rule in get_rules(model):
        yield Constraint(
            schema=schema,
            table=f"{model._meta.db_table}{ENTITY}",
            name=rule.name,
            definition=f"CHECK ({rule.condition})",
            reads=stored(model, schema, rule.fields),
        )


def refusals(model: type[models.Model], schema: str) -> str:
    """Return the statements with which a trigger refuses a row that breaks a rule."""
    parts = []
    for rule in get_rules(model):
        column = f", COLUMN = {quote_text(rule.column)}" if rule.column else ""
        parts.append(
            f"IF NOT ({rule.of_new}) THEN\n"
            f"    RAISE EXCEPTION USING\n"
            f"        ERRCODE = {quote_text(rule.error)},\n"
            f"        MESSAGE = {rule.message},\n"
            f"        SCHEMA = {quote_text(schema)}, TABLE = {quote_text(model._meta.db_table)}{column},"
            f" CONSTRAINT = {quote_text(rule.name)};\n"
            f"END IF;"
        )
    return "\n".join(parts)
