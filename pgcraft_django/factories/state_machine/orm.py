"""`Model.state_machine` and `instance.state_machine`."""

from typing import Any, overload

from asgiref.sync import sync_to_async
from django.db import DatabaseError, IntegrityError, connections, models, router, transaction
from django.db.models.expressions import DatabaseDefault
from django.utils import timezone

from pgcraft_django.attribution.acting import acting_role, readable_columns
from pgcraft_django.columns import column_name
from pgcraft_django.conditions import condition_sql
from pgcraft_django.diagnosis import CONFLICT, INVALID_PARAMETER_VALUE, MISSING, server_message, sqlstate
from pgcraft_django.errors import TransitionConflict, TransitionError
from pgcraft_django.factories.base import exposed_at
from pgcraft_django.factories.state_machine.machine import Machine, get_machine
from pgcraft_django.factories.state_machine.signature import Signature
from pgcraft_django.naming import plain_text, quote_name, shorten


class StateMachineAccess:
    """On the class, the `Machine`; on an instance, the `InstanceMachine`."""

    @overload
    def __get__(self, instance: None, owner: type[models.Model]) -> Machine: ...

    @overload
    def __get__(self, instance: models.Model, owner: type[models.Model]) -> "InstanceMachine": ...

    def __get__(self, instance: Any, owner: type[models.Model]) -> Any:
        machine = get_machine(owner._meta.concrete_model or owner)  # a proxy has that of its model
        if machine is None:
            raise AttributeError(f"{owner.__name__} declares no state machine: run manage.py check.")
        return machine if instance is None else InstanceMachine(machine, instance)


class InstanceMachine:
    """The states that one row has been in, and those that it can get to."""

    def __init__(self, machine: Machine, instance: Any) -> None:
        self.machine = machine
        self.instance = instance
        self._log: Any = machine.model.pgcraft_log  # type: ignore[attr-defined]

    def _key(self) -> dict[str, Any]:
        names = [field.attname for field in self.machine.model._meta.pk_fields]
        return {name: getattr(self.instance, name) for name in names}

    @property
    def history(self) -> "models.QuerySet[Any]":
        """The log of this row: a queryset, oldest first, that goes on after the row is deleted."""
        using = self.instance._state.db or router.db_for_read(self._log, instance=self.instance)
        return self._log._default_manager.using(using).filter(**self._key())  # type: ignore[no-any-return]

    def allowed(self) -> list[str]:
        """Return the states that `transition()` leads the row to, as it is in the database now.

        In `as_role()`, they are those that `transition_grants` name for the role, and a guard on columns that the role
        may not read counts as true. Raises `DoesNotExist` if the row is no longer there.
        """
        machine = self.machine
        using = self.instance._state.db or router.db_for_read(machine.model, instance=self.instance)
        role = acting_role(using)
        guards = {(state, way.to): way.guard for state, way in machine.ways() if self._is_asked(way.guard, using)}
        met = [models.Case(models.When(guard, then=True), default=False) for guard in guards.values()]
        grants = machine.granted if role else {}
        rows = machine.model._base_manager.using(using).filter(**self._key())
        with timezone.override(None):  # as the trigger reads it
            state, *answers = rows.values_list(machine.field.attname, *met, *map(_has_role, grants)).get()
        closed = {way for way, answer in zip(guards, answers, strict=False) if not answer}
        held = zip(grants.values(), answers[len(guards) :], strict=True)
        granted = {to for targets, answer in held if answer for to in targets}
        ways = [way.to for way in machine.transitions.get(state, ()) if (state, way.to) not in closed]
        return [to for to in ways if to in granted] if role else ways

    def _is_asked(self, guard: "models.Q | None", using: str) -> bool:
        readable = readable_columns(self.machine.model, using)
        if guard is None or readable is None:
            return guard is not None
        _, read = condition_sql(self.machine.model, guard)
        return {column_name(field) for field in read} <= readable

    def transition(self, to: str, *, reason: str | None = None, **extra: Any) -> Any:
        """Lead the row to the state `to`, if it still is in the state that the instance has.

        Returns the line of the log, which `reason` and `extra`, values for `transition_fields`, are written to. The
        row is locked until the transaction ends; nothing else of the instance is saved.

        Raises `TransitionConflict` if the row is in another state by now, `TransitionError` if the transition is not
        declared or its guard is not true, `DoesNotExist` if the row is gone, and `TypeError` for values that
        `transition_fields` do not have.
        """
        machine, instance = self.machine, self.instance
        signature = Signature(machine)
        values = self._extra_values(signature, extra)
        using = router.db_for_write(machine.model, instance=instance)
        expected = getattr(instance, machine.field.attname)
        given = {**self._key(), "to": plain_text(to), "from": plain_text(expected), "reason": reason, **values}
        arguments = [f"(%s)::{kind}" for _, kind in signature.arguments]
        if acting_role(using) is None:
            function = quote_name(signature.name)
            arguments.append("NULL")
        else:  # a request calls the function of the API, which says itself who asks
            schema, name = exposed_at(machine.model)
            function = quote_name(schema, shorten(f"{name}_transition"))
        arguments += [f"{quote_name(name)} => (%s)::{kind}" for name, kind in signature.extras]
        sql = f"SELECT * FROM {function}({', '.join(arguments)})"
        try:
            with transaction.atomic(using=using):
                [entry] = self._log._base_manager.using(using).raw(sql, self._parameters(signature, given, using))
        except DatabaseError as error:
            if explained := self._explained(error):
                raise explained from error
            raise  # as it is: its cause is what the server said
        setattr(instance, machine.field.attname, entry.to_state)
        return entry

    async def aallowed(self) -> list[str]:
        """Do what `allowed()` does, in asynchronous code."""
        return await sync_to_async(self.allowed)()

    async def atransition(self, to: str, *, reason: str | None = None, **extra: Any) -> Any:
        """Do what `transition()` does, in asynchronous code."""
        return await sync_to_async(self.transition)(to, reason=reason, **extra)

    def _extra_values(self, signature: Signature, extra: dict[str, Any]) -> dict[str, Any]:
        """Return the values by the attributes of the fields, for a foreign key that of its instance."""
        fields = signature.extra_fields
        known = {name for field in fields for name in (field.name, field.attname)}
        if unknown := sorted(extra.keys() - known):
            raise TypeError(f"transition() got values for {unknown}, which transition_fields do not have.")
        entry = self._log(**extra)
        values = {field.attname: getattr(entry, field.attname) for field in fields}
        return {name: None if isinstance(value, DatabaseDefault) else value for name, value in values.items()}

    def _parameters(self, signature: Signature, given: dict[str, Any], using: str) -> list[Any]:
        connection = connections[using]
        fields = {field.attname: field for field in (*signature.key_fields, *signature.extra_fields)}
        return [
            fields[name].get_db_prep_save(value, connection) if name in fields else value
            for name, value in given.items()
        ]

    def _explained(self, error: DatabaseError) -> Exception | None:
        """Return what the error means, if it is one of the machine's own."""
        code, message = sqlstate(error), server_message(error)
        details: Any = getattr(error.__cause__, "diag", None)
        if code == CONFLICT:
            return TransitionConflict(message)
        if code == MISSING:
            return self.machine.model.DoesNotExist(message)  # type: ignore[attr-defined, no-any-return]
        refused = isinstance(error, IntegrityError) and details and details.column_name and not details.constraint_name
        if code == INVALID_PARAMETER_VALUE or (refused and details.table_name == self.machine.model._meta.db_table):
            return TransitionError(message)
        return None


def _has_role(role: str) -> models.Func:
    """Return whether who asks has what is granted to `role`."""
    arguments = map(models.Value, (role, "USAGE"))
    return models.Func(*arguments, function="pg_catalog.pg_has_role", output_field=models.BooleanField())
