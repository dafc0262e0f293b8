"""What PostgreSQL does for entities: views that can be written to, rules, and the log of attributes."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import models

from pgcraft_django.bodies import read_body, read_sql
from pgcraft_django.columns import AnyField, column_name, column_type
from pgcraft_django.factories.actor import ACTOR, REASON
from pgcraft_django.factories.base import default_sql, view_defaults
from pgcraft_django.factories.eav.document import DATA, ENTITY, EXTRA, LOG, has_extra, is_column, place, stored
from pgcraft_django.factories.eav.indexes import attribute_indexes
from pgcraft_django.factories.eav.rules import refusals, rule_constraints
from pgcraft_django.factories.guard import RESTORING, guard_log, guard_others, guard_truncate
from pgcraft_django.naming import quote_name, quote_text, shorten
from pgcraft_django.objects import DatabaseObject, Function, Schema, Trigger, View
from pgcraft_django.objects.function import GROWING

WRITE = "pgcraft_write"
"""Name of the trigger of each view."""


EXACT = re.compile(
    r"(smallint|integer|bigint|boolean|uuid|text|varchar(\(\d+\))?|date|time|timestamp with time zone"
    r"|numeric\(\d+, \d+\)|bytea|inet)(\[\d*\])*( GENERATED .*)?"
)
"""Types whose equal values are the same."""


class Parts:
    """Names and pieces of SQL of one model that several bodies share."""

    def __init__(self, model: type[models.Model], schema: str) -> None:
        self.model = model
        self.schema = schema
        self.name = model._meta.db_table
        self.fields: list[AnyField] = list(model._meta.local_concrete_fields)
        self.entity = quote_name(schema, f"{self.name}{ENTITY}")
        self.log = quote_name(schema, f"{self.name}{LOG}")
        self.key_field: Any = model._meta.pk
        self.key = quote_name(column_name(self.key_field))

    @property
    def refuse_other_key(self) -> str:
        message = quote_text(f"The key of a row in {self.name} cannot change: it has a history.")
        return (
            "RAISE EXCEPTION USING\n"
            "        ERRCODE = 'restrict_violation',\n"
            f"        MESSAGE = {message},\n"
            "        HINT = 'Insert a row with the new key, and delete this one.';"
        )

    @property
    def conflict_message(self) -> str:
        return quote_text(f"could not serialize access to {self.name} due to concurrent update")

    @property
    def refuse_twice(self) -> str:
        message = quote_text(f"One statement cannot change a row of {self.name} twice, to different values.")
        return (
            "RAISE EXCEPTION USING\n"
            "    ERRCODE = 'cardinality_violation',\n"
            f"    MESSAGE = {message},\n"
            "    HINT = 'Let it find each row once, as a subquery with DISTINCT ON does.';"
        )

    def changed_here(self, key: str) -> str:
        """Return SQL of whether a row that is visible was last changed by the present transaction, or a part of it."""
        return (
            "EXISTS (\n"
            "    SELECT\n"
            f"    FROM {self.entity} AS present\n"
            "    JOIN pg_catalog.pg_locks AS held ON held.transactionid = present.xmin\n"
            f"    WHERE present.{self.key} = {key} AND held.pid = pg_catalog.pg_backend_pid()\n"
            ")"
        )

    @property
    def reads(self) -> dict[str, dict[str, str]]:
        return stored(self.model, self.schema, self.fields)


def relation_objects(parts: Parts) -> Iterator[DatabaseObject]:
    """Yield the view that is the model's relation, and all that belongs to the tables behind it."""
    model, schema = parts.model, parts.schema
    yield Schema(name=schema)
    yield View(
        schema=schema,
        name=parts.name,
        query=view_query(parts, parts.fields),
        reads=parts.reads,
        defaults=view_defaults(parts.fields),
    )
    yield from _keep(parts)
    yield from _log(parts)
    yield from guard_log(schema, f"{parts.name}{LOG}")
    yield from guard_others(schema, f"{parts.name}{LOG}")
    yield from guard_truncate(schema, f"{parts.name}{ENTITY}")
    yield from attribute_indexes(model, schema)
    yield from rule_constraints(model, schema)


def view_query(parts: Parts, fields: Iterable[AnyField]) -> str:
    """Return the query of a view with these columns."""
    lines = ",\n".join(f"    {as_column(field)}" for field in fields)
    return f"SELECT\n{lines}\nFROM {parts.entity}"


def as_column(field: AnyField) -> str:
    """Return what a view selects for a field."""
    column = quote_name(column_name(field))
    return column if is_column(field) else f"{place(field)} AS {column}"


def write_objects(parts: Parts, schema: str, view: str, fields: Sequence[AnyField]) -> Iterator[DatabaseObject]:
    """Yield what lets a view with `fields` be written to. Without the key, rows can only be added."""
    has_key = parts.key_field in fields
    function = Function(
        schema=parts.schema,
        name=write_name(parts, schema, view),
        returns="trigger",
        language="plpgsql",
        security_definer=True,
        body=_write_body(parts, fields) if has_key else _add_body(parts, fields),
        reads=parts.reads,
        settings=GROWING,
    )
    yield function
    yield write_trigger(function, schema, view, has_key=has_key)


def write_name(parts: Parts, schema: str, view: str) -> str:
    """Return the name of the function that writes what is written to a view."""
    return shorten(
        f"{parts.name}_{'write' if (schema, view) == (parts.schema, parts.name) else f'write_{schema}_{view}'}"
    )


def write_trigger(function: Function, schema: str, view: str, *, has_key: bool) -> Trigger:
    """Return the trigger that makes a view one that can be written to."""
    return Trigger(
        schema=schema,
        table=view,
        name=WRITE,
        event="INSTEAD OF INSERT OR UPDATE OR DELETE" if has_key else "INSTEAD OF INSERT",
        function=(function.schema, function.name),
    )


def _write_body(parts: Parts, fields: Sequence[AnyField]) -> str:
    values = inserted(parts, fields)
    assigned = [quote_name(column_name(item)) for item in fields if item.is_relation and not item.primary_key]
    if any(not is_column(item) for item in fields):
        assigned.append(DATA)
    return read_body(
        __file__,
        "write",
        entity=parts.entity,
        key=parts.key,
        new_key=_new_key(parts),
        columns=",\n".join(values),
        values=",\n".join(values.values()),
        changes="\n".join(_written(parts, field) for field in fields),
        conflict_message=parts.conflict_message,
        changed_here=parts.changed_here(f"OLD.{parts.key}"),
        refuse_twice=parts.refuse_twice,
        assignments=",\n".join(f"{name} = entity.{name}" for name in assigned or [parts.key]),
    )


def _written(parts: Parts, field: AnyField) -> str:
    """Return the statement that takes over what an UPDATE changes."""
    old, new = of("OLD", field), of("NEW", field)
    if field.primary_key:
        return f"IF NOT {same(field, old, new)} THEN\n    {parts.refuse_other_key}\nEND IF;"
    return (
        f"IF NOT {same(field, old, new)} THEN\n"
        f"    is_changed := is_changed OR NOT {same(field, place(field, 'entity'), new)};\n"
        f"    is_overtaken := is_overtaken OR NOT {same(field, place(field, 'entity'), old)};\n"
        f"    entity.{target(field)} := {new};\n"
        f"END IF;"
    )


def _add_body(parts: Parts, fields: Sequence[AnyField]) -> str:
    values = inserted(parts, fields, with_key=False)
    return read_body(__file__, "add", entity=parts.entity, columns=", ".join(values), values=", ".join(values.values()))


def _new_key(parts: Parts) -> str:
    if (made := next_key(parts)) is None:
        return "-- The key comes with the row."
    return f"IF NEW.{parts.key} IS NULL THEN\n    NEW.{parts.key} := {made};\nEND IF;"


def next_key(parts: Parts) -> str | None:
    """Return the SQL of a new key, or None if a key comes with its row."""
    if not isinstance(parts.key_field, models.AutoField | models.BigAutoField | models.SmallAutoField):
        return None
    of_key = f"{quote_text(parts.entity)}, {quote_text(column_name(parts.key_field))}"
    return f"pg_catalog.nextval(pg_catalog.pg_get_serial_sequence({of_key}))"


def inserted(parts: Parts, fields: Sequence[AnyField], *, row: str = "NEW", with_key: bool = True) -> dict[str, str]:
    """Return column or attribute -> value for a new entity. What the view does not show gets its default."""
    found = {target(field): of(row, field) for field in fields if with_key or not field.primary_key}
    for field in parts.fields:
        if field not in fields and not field.primary_key and (default := default_sql(field)) is not None:
            found[target(field)] = default
    return found


def target(field: AnyField) -> str:
    """Return how the field is named where it is written to."""
    column = quote_name(column_name(field))
    return column if is_column(field) else f"{DATA}.{column}"


def of(row: str, field: AnyField) -> str:
    """Return the field's value in a row of the view."""
    return f"{row}.{quote_name(column_name(field))}"


def same(field: AnyField, one: str, other: str) -> str:
    """Return SQL of whether two values of the field are the same, and not just equal by its collation or type.

    In `jsonb`, 5 is equal to 5.0; of intervals, a month is equal to 30 days; and points cannot be compared with `=`.
    """
    if not EXACT.fullmatch(column_type(field)):
        one, other = (f'{item}::text COLLATE "C"' for item in (one, other))
    return f"({one} IS NOT DISTINCT FROM {other})"


def _keep(parts: Parts) -> Iterator[DatabaseObject]:
    rules = refusals(parts.model, parts.schema)
    if not rules:
        return
    function = Function(
        schema=parts.schema,
        name=shorten(f"{parts.name}_keep"),
        returns="trigger",
        language="plpgsql",
        security_definer=True,
        body=read_body(__file__, "keep", rules=rules),
        reads=parts.reads,
    )
    yield function
    yield Trigger(
        schema=parts.schema,
        table=f"{parts.name}{ENTITY}",
        name="pgcraft_keep",
        event="BEFORE INSERT OR UPDATE",
        function=(function.schema, function.name),
    )


def _log(parts: Parts) -> Iterator[DatabaseObject]:
    function = Function(
        schema=parts.schema,
        name=shorten(f"{parts.name}_log"),
        returns="trigger",
        language="plpgsql",
        security_definer=True,
        body=read_body(
            __file__,
            "log",
            log=parts.log,
            key=parts.key,
            refuse_other_key=parts.refuse_other_key,
            row_key=f"coalesce(NEW.{parts.key}, OLD.{parts.key})",
            changes="\n".join(_change(parts, field) for field in parts.fields if not field.primary_key),
            actor=ACTOR,
            reason=REASON,
            restoring=RESTORING,
        ),
        reads=parts.reads,
        settings=GROWING,
    )
    yield function
    yield Trigger(
        schema=parts.schema,
        table=f"{parts.name}{ENTITY}",
        name="pgcraft_log",
        event="AFTER INSERT OR UPDATE OR DELETE",
        function=(function.schema, function.name),
    )


def _change(parts: Parts, field: AnyField) -> str:
    """Return the statement that notes whether the attribute has changed. There is no OLD, or NEW, where all is NULL."""
    old, new = place(field, "OLD"), place(field, "NEW")
    if field.name == EXTRA and has_extra(parts.model):
        return read_sql(__file__, "extra_log", old=old, new=new)
    return (
        f"IF NOT {same(field, old, new)} THEN\n"
        f"    attributes := pg_catalog.array_append(attributes, {quote_text(column_name(field))});\n"
        f"    old_values := pg_catalog.array_append(old_values, pg_catalog.to_jsonb({old}));\n"
        f"    new_values := pg_catalog.array_append(new_values, pg_catalog.to_jsonb({new}));\n"
        f"END IF;"
    )
