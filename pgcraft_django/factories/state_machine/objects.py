"""The triggers and functions of a state machine."""

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import FieldError
from django.db import models

from pgcraft_django.bodies import read_body
from pgcraft_django.columns import AnyField, column_name, column_types, postgresql
from pgcraft_django.factories.actor import ACTOR, REASON
from pgcraft_django.factories.guard import guard
from pgcraft_django.factories.state_machine.guards import guard_sql, of_changed_row
from pgcraft_django.factories.state_machine.machine import Machine
from pgcraft_django.naming import quote_name, quote_names, quote_text, shorten
from pgcraft_django.objects import DatabaseObject, Function, Trigger

TRIGGER = "pgcraft_state"
"""What the names of the triggers begin with."""


class Parts:
    """Names and pieces of SQL that the bodies of one machine share."""

    def __init__(self, machine: Machine, log: type[models.Model], schema: str, extras: list[AnyField]) -> None:
        self.machine = machine
        self.schema = schema
        self.log_model = log
        self.table_name = machine.model._meta.db_table
        self.table = quote_name(schema, self.table_name)
        self.log = quote_name(schema, log._meta.db_table)
        self.key_fields: list[AnyField] = list(machine.model._meta.pk_fields)
        self.keys = [column_name(field) for field in self.key_fields]
        self.extras = extras
        self.state = quote_name(column_name(machine.field))

    @property
    def function(self) -> str:
        """Return the name of the function that makes a transition."""
        return shorten(f"{self.table_name}_transition")

    @property
    def arguments(self) -> list[tuple[str, str]]:
        """Return name and type of what that function takes."""
        copies: list[Any] = [self.log_model._meta.get_field(field.name) for field in self.key_fields]  # without serials
        own = [("to", "text"), ("from", "text"), ("reason", "text")]
        return [*map(_typed, copies), *own, *map(_typed, self.extras)]

    def argument(self, name: str) -> str:
        """Return how the function's body writes an argument."""
        names = [known for known, _ in self.arguments]
        return f"${names.index(name) + 1}"

    def key_of(self, row: str) -> list[str]:
        """Return the columns of the key in a row of SQL."""
        return [f"{row}.{quote_name(key)}" for key in self.keys]

    def same_key(self, row: str, values: list[str]) -> str:
        """Return whether `row` has the key `values`."""
        return " AND ".join(f"{left} = {right}" for left, right in zip(self.key_of(row), values, strict=True))

    def identity(self, values: list[str]) -> str:
        """Return what tells a row from all rows of all tables."""
        return f"pg_catalog.jsonb_build_array({', '.join([quote_text(self.table), *values])})"

    @property
    def declared(self) -> str:
        """Return every pair of states that there is a way between."""
        pairs = [f"({quote_text(state)}, {quote_text(way.to)})" for state, way in self.machine.ways()]
        return ",\n".join(pairs)

    @property
    def reads(self) -> dict[str, dict[str, str]]:
        """Return the columns that every body names."""
        own = column_types([*self.key_fields, self.machine.field])
        return {self.table: own, self.log: column_types(self.log_model._meta.local_concrete_fields)}


def _typed(field: AnyField) -> tuple[str, str]:
    return column_name(field), str(field.db_type(postgresql()))


def machine_objects(parts: Parts) -> Iterator[DatabaseObject]:
    """Yield what writes the log and refuses what is not declared, and the function that lets one of two rivals win."""
    yield from guard(parts.schema, parts.log_model._meta.db_table)
    created = _created(parts)
    yield created
    yield Trigger(
        schema=parts.schema,
        table=parts.table_name,
        name=f"{TRIGGER}_created",
        event="AFTER INSERT",
        definition="REFERENCING NEW TABLE AS new_rows\n    FOR EACH STATEMENT",
        function=(created.schema, created.name),
    )
    changed = _changed(parts)
    yield changed
    columns = [*map(quote_name, parts.keys), parts.state]
    condition = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    yield Trigger(
        schema=parts.schema,
        table=parts.table_name,
        name=f"{TRIGGER}_changed",
        event="AFTER UPDATE",
        definition=f"FOR EACH ROW WHEN ({condition})",
        function=(changed.schema, changed.name),
        reads={parts.table: [*parts.keys, column_name(parts.machine.field)]},
    )
    yield _transition(parts)


def _created(parts: Parts) -> Function:
    return Function(
        schema=parts.schema,
        name=shorten(f"{parts.table_name}_state_created"),
        returns="trigger",
        language="plpgsql",
        security_definer=True,
        body=read_body(
            __file__,
            "created",
            state=parts.state,
            column=quote_text(column_name(parts.machine.field)),
            initial=quote_text(parts.machine.initial),
            log=parts.log,
            key=quote_names(parts.keys),
            entity_key=", ".join(parts.key_of("entity")),
            same_key=parts.same_key("earlier", parts.key_of("entity")),
            actor=ACTOR,
            reason=REASON,
        ),
        reads=parts.reads,
    )


def _changed(parts: Parts) -> Function:
    unmet, fields = _unmet(parts)
    extras = [quote_name(column_name(field)) for field in parts.extras]
    new_key = parts.key_of("NEW")
    return Function(
        schema=parts.schema,
        name=shorten(f"{parts.table_name}_state_changed"),
        returns="trigger",
        language="plpgsql",
        security_definer=True,
        body=read_body(
            __file__,
            "changed",
            state=parts.state,
            column=quote_text(column_name(parts.machine.field)),
            declared=parts.declared,
            unmet=unmet,
            log=parts.log,
            key=quote_names(parts.keys),
            key_changed=f"({', '.join(parts.key_of('OLD'))}) IS DISTINCT FROM ({', '.join(new_key)})",
            key_text=_shown(new_key),
            new_key=", ".join(new_key),
            same_key=parts.same_key("earlier", new_key),
            identity=parts.identity(new_key),
            extras="".join(f", {name}" for name in extras),
            extra_values="".join(f",\nentry.{name}" for name in extras),
            actor=ACTOR,
            reason=REASON,
        ),
        reads={**parts.reads, parts.table: {**parts.reads[parts.table], **column_types(fields)}},
    )


def _transition(parts: Parts) -> Function:
    keys = [parts.argument(key) for key in parts.keys]
    entry = ["reason", *(column_name(field) for field in parts.extras)]
    return Function(
        schema=parts.schema,
        name=parts.function,
        arguments=", ".join(f"{quote_name(name)} {kind}" for name, kind in parts.arguments),
        returns=parts.log,
        language="plpgsql",
        security_definer=True,
        body=read_body(
            __file__,
            "transition",
            table=parts.table,
            shown_table=quote_text(parts.table_name),
            state=parts.state,
            states=", ".join(map(quote_text, parts.machine.states)),
            declared=parts.declared,
            log=parts.log,
            same_key=parts.same_key("entity", keys),
            key_text=_shown(keys),
            identity=parts.identity(keys),
            to=parts.argument("to"),
            expected=parts.argument("from"),
            entry=", ".join(f"{quote_text(name)}, {parts.argument(name)}" for name in entry),
        ),
        reads=parts.reads,
    )


def _shown(values: list[str]) -> str:
    return f"pg_catalog.concat_ws(', ', {', '.join(values)})"


def _unmet(parts: Parts) -> tuple[str, list[AnyField]]:
    """Return whether the guard of the way from OLD to NEW is not true, and the fields that guards read."""
    cases: list[str] = []
    read: list[AnyField] = []
    for state, way in parts.machine.ways():
        if way.guard is None:
            continue
        try:
            condition, fields = guard_sql(parts.machine.model, way.guard)
        except FieldError:  # left to the checks; until then nobody goes this way
            condition, fields = "false", []
        pair = f"({quote_text(state)}, {quote_text(way.to)})"
        met = of_changed_row(condition, fields)
        cases.append(f"    WHEN (OLD.{parts.state}, NEW.{parts.state}) = {pair} THEN NOT {met}")
        read += fields
    return ("\n".join(["CASE", *cases, "    ELSE false", "END"]) if cases else "false"), read
