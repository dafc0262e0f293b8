"""Tables whose rows are never changed: logs and ledgers."""

from collections.abc import Iterator

from pgcraft_django.bodies import read_body
from pgcraft_django.naming import shorten
from pgcraft_django.objects import DatabaseObject, Function, Trigger

GUARD = "pgcraft_guard"
"""Name of the trigger."""


def guard(schema: str, table: str) -> Iterator[DatabaseObject]:
    """Yield what refuses UPDATE, DELETE and TRUNCATE of a table to everybody, its owner included."""
    function = Function(
        schema=schema,
        name=shorten(f"{table}_guard"),
        returns="trigger",
        language="plpgsql",
        body=read_body(__file__, "guard"),
    )
    yield function
    yield Trigger(
        schema=schema,
        table=table,
        name=GUARD,
        event="BEFORE UPDATE OR DELETE OR TRUNCATE",
        definition="FOR EACH STATEMENT",
        function=(function.schema, function.name),
    )
