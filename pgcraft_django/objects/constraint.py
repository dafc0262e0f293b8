"""Constraints that Django cannot make, such as a foreign key to the table behind a model that is a view."""

from dataclasses import dataclass, field

from pgcraft_django.naming import quote_name
from pgcraft_django.objects.base import DatabaseObject, ObjectKey
from pgcraft_django.objects.relation import Reads, held, relation_key


@dataclass(frozen=True, kw_only=True)
class Constraint(DatabaseObject):
    """A constraint of a table. `definition` is SQL: `CHECK (…)`, `FOREIGN KEY (…) REFERENCES … (…)`."""

    kind = "constraint"
    schema: str
    table: str
    name: str
    definition: str
    requires: list[tuple[str, ...]] = field(default_factory=list)
    """Keys of other objects that the definition names."""
    reads: Reads = field(default_factory=dict)
    """Tables whose columns it names. If they change, the constraint is dropped before, and created after."""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("constraint", self.schema, self.name, self.table)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({relation_key(self.schema, self.table), *(ObjectKey(*key) for key in self.requires)})

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        return held(self.reads, quote_name(self.schema, self.table))

    def create_sql(self) -> list[str]:
        table = quote_name(self.schema, self.table)
        return [f"ALTER TABLE {table} ADD CONSTRAINT {quote_name(self.name)} {self.definition}"]

    def drop_sql(self) -> list[str]:
        return [f"ALTER TABLE {quote_name(self.schema, self.table)} DROP CONSTRAINT {quote_name(self.name)}"]
