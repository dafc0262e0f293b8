"""Idempotency keys: whoever asks twice, because an answer was lost, books once.

A key is that of an entry, which may have several legs, so it cannot be unique in the ledger's own table. A table beside
it has one row for each; the rival that comes second waits there until the first has committed.
"""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from django.db import models

from pgcraft_django.bodies import one_line, read_body, read_sql
from pgcraft_django.columns import AnyField, column_name, column_types
from pgcraft_django.factories.base import Factory, PGCraftModel, default_sql
from pgcraft_django.factories.companion import Derived, make_companion, titles
from pgcraft_django.factories.guard import by_hand, guard_truncate
from pgcraft_django.factories.ledger.shape import (
    KEY,
    index_entries,
    is_time_of_statement,
    partition_interval,
    value_field,
    written_fields,
)
from pgcraft_django.naming import is_identifier, quote_name, quote_text, shorten
from pgcraft_django.objects import DatabaseObject, Function, Trigger


class KeyFactory(Factory):
    """Keys are the database's own business."""

    privileges = frozenset()


class KeyModel(Derived, PGCraftModel):
    """Abstract base of the companion: which entry a key belongs to."""

    pgcraft_factory: ClassVar[Factory] = KeyFactory()

    idempotency_key = models.TextField(primary_key=True, editable=False)
    entry_id = models.UUIDField(editable=False)
    created_at = models.DateTimeField(editable=False)

    class Meta(PGCraftModel.Meta):
        abstract = True


def add_keys(model: type[models.Model]) -> None:
    """Give a ledger's entries keys, and a companion that has each of them once."""
    if KEY in {field.name for field in model._meta.local_fields}:
        return  # which the checks report
    field: Any = models.TextField(
        null=True, blank=True, editable=False, help_text="The same key again books nothing again."
    )
    model.add_to_class(KEY, field)
    index_entries(model)
    meta = {
        "default_permissions": ["view"],
        **titles(model, "key of {name}", "keys of {names}"),
    }
    model.pgcraft_keys = make_companion(model, "Key", {}, meta=meta, base=KeyModel)  # type: ignore[attr-defined]


def key_objects(model: type[models.Model], schema: str) -> Iterator[DatabaseObject]:
    """Yield what takes note of keys and leaves repetitions out."""
    companion: type[models.Model] | None = model.__dict__.get("pgcraft_keys")
    if companion is None or not is_identifier(companion._meta.db_table):
        return
    table, keys = model._meta.db_table, companion._meta.db_table
    fields = [field for field in model._meta.local_concrete_fields if not field.generated]
    parts = {
        "table": quote_name(schema, table),
        "keys": quote_name(schema, keys),
        "ledger_name": quote_text(table),
        "conflict": conflict(table, f"NEW.{quote_name(KEY)}"),
        "following_of_time": _of_time(model, "following"),
        "same": _same(model),
    }
    reads = {
        parts["table"]: column_types(fields),
        parts["keys"]: column_types(companion._meta.local_concrete_fields),
    }

    def function(name: str, body: str) -> Function:
        return Function(
            schema=schema,
            name=shorten(f"{table}_{name}"),
            returns="trigger",
            language="plpgsql",
            security_definer=True,
            body=read_body(__file__, body, **parts),
            reads=reads,
        )

    def trigger(on: str, name: str, event: str, condition: str, called: Function) -> Trigger:
        return Trigger(
            schema=schema,
            table=on,
            name=name,
            event=event,
            definition=f"FOR EACH ROW WHEN ({condition})",
            function=(called.schema, called.name),
        )

    keyed, closed = function("keyed", "keyed"), function("keys_closed", "keys_closed")
    yield keyed
    # Its name comes last: what comes again is compared with what other triggers have made of it.
    yield trigger(table, "~pgcraft_key", "BEFORE INSERT", f"NEW.{quote_name(KEY)} IS NOT NULL", keyed)
    yield closed
    by_themselves = by_hand(schema, keys)
    yield trigger(keys, "pgcraft_key_guard", "BEFORE INSERT OR UPDATE OR DELETE", by_themselves, closed)
    yield from guard_truncate(schema, keys)


def _of_time(model: type[models.Model], row: str) -> str:
    """Return what leads to the partition that `row` is in: the time of a key is that of its legs."""
    return f' AND {row}."created_at" = kept."created_at"' if partition_interval(model) else ""


def _same(model: type[models.Model]) -> str:
    """Return the condition on `leg` that NEW repeats it."""
    said = written_fields(model)
    key, value = quote_name(KEY), quote_name(column_name(value_field(model)))
    return (
        f'leg."entry_id" = kept."entry_id"{_of_time(model, "leg")} AND leg.{key} = NEW.{key}\n'
        f"AND leg.{value} = NEW.{value}\n"  # which most legs differ in, and which is compared in no time
        f"AND {as_content(f'leg.{quote_name(column_name(field))}' for field in said)}\n"
        f"= {as_content(map(_said, said))}"
    )


def conflict(table: str, key: str) -> str:
    """Return the statement that refuses an entry of another content with a key."""
    return read_sql(__file__, "conflict", key_line=one_line(key), ledger_name=quote_text(table))


def as_content(values: Iterable[str]) -> str:
    """Return in SQL what legs are compared by."""
    return f"pg_catalog.jsonb_build_array({', '.join(values)})"


def _said(field: AnyField) -> str:
    """Return what a leg says that comes again: a time that was left out is that of the leg which is there."""
    column = quote_name(column_name(field))
    if not is_time_of_statement(field):
        return f"NEW.{column}"
    return f"CASE WHEN NEW.{column} = {default_sql(field)} THEN leg.{column} ELSE NEW.{column} END"
