"""What every ledger has in PostgreSQL: entries are dated by it, and never changed."""

from collections.abc import Iterator

from django.db import models

from pgcraft_django.bodies import read_body
from pgcraft_django.factories.guard import KEEPING_TIMES, guard
from pgcraft_django.factories.ledger.api import recording_objects
from pgcraft_django.factories.ledger.shape import is_idempotent, partition_interval
from pgcraft_django.objects import DatabaseObject, SharedFunction, Trigger
from pgcraft_django.objects.trigger import GUARD, TRUNCATE_GUARD

STAMP = "pgcraft_created_at"
"""Name of the function and of the trigger. Triggers fire in order of their names: others see the time that counts."""
GIVEN = "pgcraft_created_at_given"
"""Name of the function where the ledger is partitioned."""

OWN_TRIGGERS = {GUARD, TRUNCATE_GUARD, STAMP}


def ledger_objects(model: type[models.Model], schema: str) -> Iterator[DatabaseObject]:
    """Yield the triggers of the ledger's table."""
    table = model._meta.db_table
    yield from guard(schema, table)
    stamp, body = STAMP, "stamped"
    if interval := partition_interval(model):
        from pgcraft_django.factories.ledger.partitions import partition_objects

        yield from partition_objects(schema, table, interval)
        # The time has chosen the partition: it cannot be changed any more.
        stamp, body = GIVEN, "given"
    yield SharedFunction(
        schema=schema,
        name=stamp,
        returns="trigger",
        language="plpgsql",
        body=read_body(__file__, body, keeping=KEEPING_TIMES),
    )
    yield Trigger(
        schema=schema,
        table=table,
        name=STAMP,
        event="BEFORE INSERT",
        # So entries that come without a time, as nearly all do, do not pay for a function.
        definition="FOR EACH ROW WHEN (NEW.created_at IS DISTINCT FROM pg_catalog.statement_timestamp())",
        function=(schema, stamp),
    )
    if is_idempotent(model):
        from pgcraft_django.factories.ledger.keys import key_objects

        yield from key_objects(model, schema)
    yield from recording_objects(model, schema)
