"""Rows that follow from those of another table, such as balances from entries."""

from dataclasses import dataclass, field

from pgcraft_django.naming import quote_name
from pgcraft_django.objects.base import DatabaseObject, ObjectKey
from pgcraft_django.objects.relation import Reads, held, relation_key


@dataclass(frozen=True, kw_only=True)
class Filling(DatabaseObject):
    """The rows of `table`, worked out from those of `source`: `query` inserts them, and without it there are none.

    Nobody can add to `source` until the transaction ends, so that a trigger that is made in it goes on from there.
    """

    kind = "filling"
    schema: str
    table: str
    source: str
    query: str = ""
    reads: Reads = field(default_factory=dict)

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("filling", self.schema, self.table)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({relation_key(self.schema, self.table), relation_key(self.schema, self.source)})

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        return held(self.reads)

    def create_sql(self) -> list[str]:
        return [
            f"LOCK TABLE {quote_name(self.schema, self.source)} IN SHARE ROW EXCLUSIVE MODE",
            *self.drop_sql(),
            *([self.query] if self.query else []),
        ]

    def drop_sql(self) -> list[str]:
        return [f"DELETE FROM {quote_name(self.schema, self.table)}"]

    def describe(self) -> str:
        return f"rows of {self.schema}.{self.table}"
