"""The state in forms: `full_clean()` says before the database does that a row cannot be in it."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError, connections, models, router, transaction
from django.db.models.functions import Cast
from django.db.models.sql import Query

from pgcraft_django.columns import column_name
from pgcraft_django.conditions import condition_sql
from pgcraft_django.factories.state_machine.machine import Machine
from pgcraft_django.naming import quote_names


def validate_state(machine: Machine, instance: Any, exclude: Any) -> None:
    """Raise `ValidationError` unless the row may begin in its state, or may be led there from where it is."""
    name, state = machine.field.name, getattr(instance, machine.field.attname)
    if name in (exclude or ()):
        return
    if instance._state.adding:
        if state != machine.initial:
            raise ValidationError({name: f"A new row cannot be {state}: it begins as {machine.initial}."})
        return
    using = router.db_for_write(machine.model, instance=instance)
    rows = machine.model._base_manager.using(using).filter(pk=instance.pk)
    before = rows.values_list(machine.field.attname, flat=True).first()
    if before in (None, state):
        return
    way = next((way for way in machine.transitions.get(before, ()) if way.to == state), None)
    if way is None:
        raise ValidationError({name: f"It is {before}, and cannot become {state}."})
    if way.guard is not None and not _is_met(way.guard, machine, instance, using):
        raise ValidationError({name: f"It cannot become {state} as it is: the condition for that is not met."})


def _is_met(guard: models.Q, machine: Machine, instance: Any, using: str) -> bool:
    """Tell whether PostgreSQL finds the guard true of the row as it is to be.

    `Q.check()` would take NULL for true, and what is not equal to NULL for NULL, which is true of a column.
    """
    condition, fields = condition_sql(machine.model, guard, row="new")
    values = instance._get_field_expression_map(meta=instance._meta)
    row = Query(None)
    row.add_annotation(models.Value(True), "pgcraft")  # a guard may read no column
    for number, field in enumerate(fields):
        value, kind = values[field.name], getattr(field, "output_field", field)  # of a generated field, what it holds
        if isinstance(value, models.Value) and value.value is None:
            value = models.Value(None)  # and no null of JSON
        row.add_annotation(Cast(value, kind), f"column_{number}")
    sql, parameters = row.get_compiler(using=using).as_sql()
    names = quote_names(["pgcraft", *map(column_name, fields)])
    whether = condition.replace("%", "%%")
    try:
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            cursor.execute(f'SELECT ({whether}) IS TRUE FROM ({sql}) AS "new" ({names})', parameters)
            [(met,)] = cursor.fetchall()
    except DataError:  # a value that its own field refuses
        return True
    return bool(met)
