"""Tables at their place, views and materialized views: what shares PostgreSQL's namespace of relations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pgcraft_django.naming import DEFAULT_SCHEMA, quote_name
from pgcraft_django.objects.base import DatabaseObject, ObjectKey, without_default_privileges
from pgcraft_django.objects.schema import schema_key

Reads = Mapping[str, Mapping[str, str]]
"""Quoted table -> column -> type and collation: what a view holds on to.

PostgreSQL refuses to change the type of a column that a view reads. The types are part of the view's value so
that such a change makes the view differ, and it is dropped before and created after.
"""


def held(reads: Mapping[str, Iterable[str]], *tables: str) -> dict[str, frozenset[str]]:
    """Return the `columns_held` of an object that is part of `tables`, quoted, and reads the columns in `reads`."""
    whole: dict[str, frozenset[str]] = dict.fromkeys(tables, frozenset())
    return whole | {table: frozenset(columns) for table, columns in reads.items()}


def relation_key(schema: str, name: str) -> ObjectKey:
    """Return the identity of the table or view `schema.name`."""
    return ObjectKey("relation", schema, name)


@dataclass(frozen=True, kw_only=True)
class TablePlacement(DatabaseObject):
    """A table that Django makes, in a schema of its own. Migrations write it as `SetTableSchema`."""

    kind = "table"
    schema: str
    name: str

    @property
    def key(self) -> ObjectKey:
        return relation_key(self.schema, self.name)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({schema_key(self.schema)})

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        return {quote_name(self.schema, self.name): frozenset()}

    def create_sql(self) -> list[str]:
        return [move_table_sql(self.name, DEFAULT_SCHEMA, self.schema)]

    def drop_sql(self) -> list[str]:
        return [move_table_sql(self.name, self.schema, DEFAULT_SCHEMA)]


def move_table_sql(table: str, old: str, new: str) -> str:
    """Return the statement that moves a table, with its indexes, constraints and sequences, to another schema."""
    return f"ALTER TABLE {quote_name(old, table)} SET SCHEMA {quote_name(new)}"


@dataclass(frozen=True, kw_only=True)
class _Query(DatabaseObject):
    """What views and materialized views have in common."""

    schema: str
    name: str
    query: str
    reads: Reads = field(default_factory=dict)
    requires: list[tuple[str, ...]] = field(default_factory=list)
    """Keys of other objects (functions, views) that the query uses."""

    @property
    def key(self) -> ObjectKey:
        return relation_key(self.schema, self.name)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({schema_key(self.schema), *(ObjectKey(*key) for key in self.requires)})

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        return held(self.reads)


@dataclass(frozen=True, kw_only=True)
class View(_Query):
    """A view, dropped and created whenever it changes: PostgreSQL lets one grow in place, but never shrink back.

    `security_invoker`: privileges and row-level security are those of who asks, not of the owner.
    """

    kind = "view"
    security_invoker: bool = True
    security_barrier: bool = False
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Column -> SQL of what an INSERT without it gets."""

    def create_sql(self) -> list[str]:
        options = ", ".join(
            f"{name} = {'true' if value else 'false'}"
            for name, value in (
                ("security_invoker", self.security_invoker),
                ("security_barrier", self.security_barrier),
            )
        )
        name = quote_name(self.schema, self.name)
        return [
            f"CREATE VIEW {name} WITH ({options}) AS\n{self.query}",
            *(
                f"ALTER VIEW {name} ALTER COLUMN {quote_name(column)} SET DEFAULT {value}"
                for column, value in self.defaults.items()
            ),
            without_default_privileges(name),
        ]

    def drop_sql(self) -> list[str]:
        return [f"DROP VIEW {quote_name(self.schema, self.name)}"]


@dataclass(frozen=True, kw_only=True)
class MaterializedView(_Query):
    """A materialized view: filled when created, refreshed by whoever needs it fresh."""

    kind = "materialized view"

    def create_sql(self) -> list[str]:
        name = quote_name(self.schema, self.name)
        return [f"CREATE MATERIALIZED VIEW {name} AS\n{self.query}", without_default_privileges(name)]

    def drop_sql(self) -> list[str]:
        return [f"DROP MATERIALIZED VIEW {quote_name(self.schema, self.name)}"]
