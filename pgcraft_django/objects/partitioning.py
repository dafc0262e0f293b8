"""Tables that are partitioned by time.

Django makes the table whole, and it becomes a partitioned one of the same name, columns, indexes and constraints. An
empty table is replaced; one with rows becomes a partition of the new one, as it is. Whatever holds on to the table is
dropped before and created after, see `diff`.
"""

from dataclasses import dataclass

from pgcraft_django.bodies import read_sql
from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.objects.base import DatabaseObject, ObjectKey, do_block
from pgcraft_django.objects.relation import relation_key
from pgcraft_django.objects.trigger import GUARD, SETTLED, TRUNCATE_GUARD

GUARD_PARTITION = "pgcraft_guard_partition"
"""Name of the triggers that let nobody write to a partition past its table, and of their function."""
COLUMN = "created_at"


def closing_sql(schema: str) -> str:
    """Return PL/pgSQL that closes the new partition `part`, a `regclass`, to all that does not come by its table."""
    return read_sql(
        __file__,
        "closed",
        guard_partition=quote_text(GUARD_PARTITION),
        guard_truncate=quote_text(TRUNCATE_GUARD),
        guard_partition_function=quote_text(quote_name(schema, GUARD_PARTITION)),
        guard_function=quote_text(quote_name(schema, GUARD)),
    )


@dataclass(frozen=True, kw_only=True)
class Partitioning(DatabaseObject):
    """That a table is partitioned by `created_at`. Rows for which there is no partition are in `<table>_default`."""

    kind = "partitioning"
    schema: str
    table: str

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("partitioning", self.schema, self.table)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        needed = {ObjectKey("function", self.schema, name) for name in (GUARD, GUARD_PARTITION)}
        return frozenset({relation_key(self.schema, self.table), *needed})

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        return {quote_name(self.schema, self.table): frozenset({COLUMN})}

    def create_sql(self) -> list[str]:
        return [*SETTLED, self._run("partitioned", closed=closing_sql(self.schema))]

    def drop_sql(self) -> list[str]:
        return [*SETTLED, self._run("whole")]

    def _run(self, body: str, **parts: str) -> str:
        names = {"schema_name": quote_text(self.schema), "table_name": quote_text(self.table)}
        shared = {name: read_sql(__file__, name) for name in ("noted", "given")}
        return do_block(read_sql(__file__, body, **names, **shared, **parts))

    def describe(self) -> str:
        return f"partitions of {self.schema}.{self.table}"
