"""The state in forms: `full_clean()` says before the database does that a row cannot be in it."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, router
from django.db.models.functions import Coalesce

from pgcraft_django.factories.state_machine.machine import Machine


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
    if way.guard is not None:
        values = instance._get_field_expression_map(meta=instance._meta)
        # To Q.check(), as to a CHECK, what is neither true nor false is met. To a guard it is not.
        met = models.Q(Coalesce(way.guard, False, output_field=models.BooleanField()))
        if not met.check(values, using=using):
            raise ValidationError({name: f"It cannot become {state} as it is: the condition for that is not met."})
