"""Row-level security of a table: without a policy that lets them, nobody but the owner sees or writes a row."""

from dataclasses import dataclass

from pgcraft_django.naming import quote_name
from pgcraft_django.objects.base import DatabaseObject, ObjectKey
from pgcraft_django.objects.relation import relation_key


def row_security_key(schema: str, table: str) -> ObjectKey:
    """Return the identity of the row-level security of `schema.table`."""
    return ObjectKey("row security", schema, table)


@dataclass(frozen=True, kw_only=True)
class RowSecurity(DatabaseObject):
    """Row-level security, switched on. The owner bypasses it: FORCE would hide rows from data migrations."""

    kind = "row security"
    schema: str
    table: str

    @property
    def key(self) -> ObjectKey:
        return row_security_key(self.schema, self.table)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({relation_key(self.schema, self.table)})

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        return {quote_name(self.schema, self.table): frozenset()}

    def create_sql(self) -> list[str]:
        return [f"ALTER TABLE {quote_name(self.schema, self.table)} ENABLE ROW LEVEL SECURITY"]

    def drop_sql(self) -> list[str]:
        return [f"ALTER TABLE {quote_name(self.schema, self.table)} DISABLE ROW LEVEL SECURITY"]

    def describe(self) -> str:
        return f"row security of {self.schema}.{self.table}"
