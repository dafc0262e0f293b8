"""Indexes that Django cannot make, such as those on an expression over a column that only this package knows."""

from dataclasses import dataclass, field

from pgcraft_django.naming import quote_name
from pgcraft_django.objects.base import DatabaseObject, ObjectKey
from pgcraft_django.objects.relation import Reads, held, relation_key


@dataclass(frozen=True, kw_only=True)
class Index(DatabaseObject):
    """An index. `definition` is what follows the table's name: `USING btree (…) WHERE …`."""

    kind = "index"
    schema: str
    table: str
    name: str
    definition: str
    unique: bool = False
    reads: Reads = field(default_factory=dict)
    """Tables whose columns the definition names. If they change, the index is dropped before, and created after."""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("index", self.schema, self.name)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({relation_key(self.schema, self.table)})

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        return held(self.reads, quote_name(self.schema, self.table))

    def create_sql(self) -> list[str]:
        kind = "UNIQUE INDEX" if self.unique else "INDEX"
        return [f"CREATE {kind} {quote_name(self.name)} ON {quote_name(self.schema, self.table)} {self.definition}"]

    def drop_sql(self) -> list[str]:
        return [f"DROP INDEX {quote_name(self.schema, self.name)}"]
