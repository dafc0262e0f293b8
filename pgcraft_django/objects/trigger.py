"""Triggers."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pgcraft_django.naming import quote_name
from pgcraft_django.objects.base import DatabaseObject, ObjectKey, do_block
from pgcraft_django.objects.relation import held, relation_key

GUARD = "pgcraft_guard"
"""Name of the triggers that refuse UPDATE and DELETE, and of their function."""
TRUNCATE_GUARD = "pgcraft_guard_truncate"
"""Name of the triggers that refuse TRUNCATE."""
# What is judged later is judged now: a table with checks to come cannot be altered.
SETTLED = ["SET CONSTRAINTS ALL IMMEDIATE", "SET CONSTRAINTS ALL DEFERRED"]


@dataclass(frozen=True, kw_only=True)
class Trigger(DatabaseObject):
    """A trigger on a table or view.

    `definition` is the SQL after the table's name: `REFERENCING … FOR EACH ROW WHEN (…)`;
    `event` is what precedes it: `AFTER INSERT OR UPDATE`.
    """

    kind = "trigger"
    schema: str
    table: str
    name: str
    event: str
    definition: str = "FOR EACH ROW"
    function: tuple[str, str]
    """Schema and name of the function, which takes no arguments."""
    reads: dict[str, list[str]] = field(default_factory=dict)
    """Quoted table -> columns that the event or the condition names."""

    deferred: bool = False
    """Fires when the transaction ends, or earlier if a session says so; only AFTER, FOR EACH ROW."""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("trigger", self.schema, self.name, self.table)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({relation_key(self.schema, self.table), ObjectKey("function", *self.function)})

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        return held(self.reads, quote_name(self.schema, self.table))

    def create_sql(self) -> list[str]:
        verb = "CREATE CONSTRAINT TRIGGER" if self.deferred else "CREATE TRIGGER"
        when = "    DEFERRABLE INITIALLY DEFERRED\n" if self.deferred else ""
        return [
            f"{verb} {quote_name(self.name)} {self.event}\n"
            f"    ON {quote_name(self.schema, self.table)}\n"
            f"{when}"
            f"    {self.definition}\n"
            f"    EXECUTE FUNCTION {quote_name(*self.function)}()"
        ]

    def drop_sql(self) -> list[str]:
        return [f"DROP TRIGGER {quote_name(self.name)} ON {quote_name(self.schema, self.table)}"]


def lock_tables_sql(objects: Iterable[DatabaseObject]) -> list[str]:
    """Return what locks the tables of the triggers among `objects`, in order of their names.

    To drop the triggers takes the same locks, but in the order of the objects. A write to a table goes on, by its
    triggers, to the tables beside it, whose names begin with the name of the first: in another order than that,
    `migrate` and those who write would wait for each other.
    """
    tables = sorted({(item.schema, item.table) for item in objects if isinstance(item, Trigger)})
    names = ", ".join(quote_name(*table) for table in tables)
    return [do_block(f"BEGIN\n    LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE;\nEND")] if len(tables) > 1 else []


def without_guards_sql(tables: list[str], sql: str) -> list[str]:
    """Return statements that run `sql` while the triggers that guard the rows of `tables` are off."""
    names = [quote_name(table) for table in tables]
    return [
        *SETTLED,
        *(f"ALTER TABLE {name} DISABLE TRIGGER {quote_name(GUARD)}" for name in names),
        *([sql] if sql.strip() else []),
        *SETTLED,
        *(f"ALTER TABLE {name} ENABLE TRIGGER {quote_name(GUARD)}" for name in names),
    ]
