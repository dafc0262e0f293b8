"""What PostgreSQL does for a history: it numbers and dates each version, and keeps what an UPDATE or DELETE ends."""

from collections.abc import Iterator

from django.db import models

from pgcraft_django.bodies import read_body
from pgcraft_django.columns import column_name, column_types
from pgcraft_django.factories.actor import ACTOR, REASON
from pgcraft_django.factories.guard import guard, guard_others, guard_truncate
from pgcraft_django.naming import quote_name, quote_names, shorten
from pgcraft_django.objects import DatabaseObject, Function, SharedFunction, Trigger
from pgcraft_django.objects.function import GROWING

STAMPS = ("version", "valid_from")
"""Fields of the model that only the database writes."""

PLAIN = {"smallint", "integer", "bigint", "uuid"}
"""Types whose equal values are the same byte for byte: their own operator takes less than one for all types."""

# Triggers of one event fire in order of their names: these have to see what others have changed.
LAST = "~pgcraft_history"
GIVEN = "pgcraft_history_given"
"""Name of the function and of the trigger, which comes before that for the same event."""


def history_objects(model: type[models.Model], history: type[models.Model], schema: str) -> Iterator[DatabaseObject]:
    """Yield the functions and triggers of a model with a history; both tables are in `schema`."""
    table, former = model._meta.db_table, history._meta.db_table
    parts = _parts(model, quote_name(schema, table), quote_name(schema, former))
    reads = {quote_name(schema, table): column_types(model._meta.local_concrete_fields)}

    def trigger(
        name: str,
        event: str,
        definition: str,
        trigger_name: str,
        *,
        definer: bool = True,
        settings: dict[str, str] | None = None,
    ) -> Iterator[DatabaseObject]:
        function = Function(
            schema=schema,
            name=shorten(f"{table}_history_{name}"),
            returns="trigger",
            language="plpgsql",
            security_definer=definer,
            body=read_body(__file__, name, **parts),
            reads=reads,
            settings=settings or {},
        )
        yield function
        yield Trigger(
            schema=schema,
            table=table,
            name=trigger_name,
            event=event,
            definition=definition,
            function=(function.schema, function.name),
        )

    yield from _given(schema, table)
    yield from trigger("insert", "BEFORE INSERT", "FOR EACH ROW", f"{LAST}_insert", settings=GROWING)
    yield from trigger("update", "BEFORE UPDATE", "FOR EACH ROW", LAST, definer=False)
    old, new = "OLD TABLE AS old_rows", "NEW TABLE AS new_rows"
    for name, event, tables, settings in (
        ("inserted", "AFTER INSERT", new, GROWING),
        ("updated", "AFTER UPDATE", f"{old} {new}", None),
        ("deleted", "AFTER DELETE", old, GROWING),
    ):
        definition = f"REFERENCING {tables}\n    FOR EACH STATEMENT"
        yield from trigger(name, event, definition, f"pgcraft_history_{name}", settings=settings)
    yield from guard(schema, former)
    yield from guard_others(schema, former)
    yield from guard_truncate(schema, table)


def _parts(model: type[models.Model], table: str, history: str) -> dict[str, str]:
    """Return what the bodies have in common; both tables are named with their schema."""
    fields = [field for field in model._meta.local_concrete_fields if field.name not in STAMPS]
    keys = [column_name(field) for field in model._meta.pk_fields]
    columns = [column_name(field) for field in fields]
    return {
        "table": table,
        "history": history,
        "columns": quote_names(columns),
        "keys": quote_names(keys),
        "begun_keys": _of("begun", keys),
        "ended_columns": _of("ended", columns),
        "same_key": _equal("begun", "ended", keys),
        "history_is_begun": _equal("history", "begun", keys),
        "entity_is_new": _equal("entity", "NEW", keys),
        "entity_is_ended": _equal("entity", "ended", keys),
        "history_is_new": _equal("history", "NEW", keys),
        "key_stays": _key_stays(column_types(model._meta.pk_fields)),
        # They are not made yet when the trigger looks.
        "set_generated": "\n".join(
            f"NEW.{quote_name(column_name(field))} := OLD.{quote_name(column_name(field))};"
            for field in fields
            if field.generated
        ),
        "actor": ACTOR,
        "reason": REASON,
    }


def _given(schema: str, table: str) -> Iterator[DatabaseObject]:
    """Yield what judges the stamps that a new row brings."""
    body = read_body(__file__, "given")
    yield SharedFunction(schema=schema, name=GIVEN, returns="trigger", language="plpgsql", body=body)
    yield Trigger(
        schema=schema,
        table=table,
        name=GIVEN,
        event="BEFORE INSERT",
        # So rows that come without stamps, as nearly all do, do not pay for a function.
        definition="FOR EACH ROW WHEN (\n"
        '    NEW."version" IS DISTINCT FROM 1 OR NEW."valid_from" IS DISTINCT FROM pg_catalog.statement_timestamp()\n'
        ")",
        function=(schema, GIVEN),
        reads={quote_name(schema, table): list(STAMPS)},
    )


def _of(row: str, columns: list[str]) -> str:
    return ", ".join(f"{row}.{quote_name(column)}" for column in columns)


def _key_stays(types: dict[str, str]) -> str:
    """Return SQL of whether NEW has the key of OLD, byte for byte, whatever the search path."""
    keys = list(types)
    if all(kind.split()[0] in PLAIN for kind in types.values()):  # `bigint GENERATED BY DEFAULT AS IDENTITY`
        return " AND ".join(f"NEW.{quote_name(key)} OPERATOR(pg_catalog.=) OLD.{quote_name(key)}" for key in keys)
    return f"pg_catalog.record_image_eq(ROW({_of('NEW', keys)}), ROW({_of('OLD', keys)}))"


def _equal(one: str, other: str, columns: list[str]) -> str:
    return " AND ".join(f"{one}.{quote_name(column)} = {other}.{quote_name(column)}" for column in columns)
