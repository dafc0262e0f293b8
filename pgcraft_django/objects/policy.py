"""Row-level security policies."""

from dataclasses import dataclass, field

from pgcraft_django.naming import quote_name, quote_names
from pgcraft_django.objects.base import DatabaseObject, ObjectKey
from pgcraft_django.objects.relation import Reads, held, relation_key
from pgcraft_django.objects.role import role_key
from pgcraft_django.objects.row_security import row_security_key


@dataclass(frozen=True, kw_only=True)
class Policy(DatabaseObject):
    """A policy on a table: which rows `roles` may see (`using`) and write (`check`), both SQL expressions.

    Without `roles` it is for everybody. It lets nobody do what they have no privilege for.
    """

    kind = "policy"
    schema: str
    table: str
    name: str
    roles: list[str] = field(default_factory=list)
    command: str = "all"
    permissive: bool = True
    using: str = ""
    check: str = ""
    reads: Reads = field(default_factory=dict)
    """Tables whose columns the expressions name."""
    requires: list[tuple[str, ...]] = field(default_factory=list)
    """Keys of the functions that the expressions call."""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("policy", self.schema, self.table, self.name)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        # First closed, then opened.
        table = {relation_key(self.schema, self.table), row_security_key(self.schema, self.table)}
        return frozenset({*table, *map(role_key, self.roles), *(ObjectKey(*key) for key in self.requires)})

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        return held(self.reads, quote_name(self.schema, self.table))

    def create_sql(self) -> list[str]:
        clauses = [
            f"CREATE POLICY {quote_name(self.name)} ON {quote_name(self.schema, self.table)}",
            f"AS {'PERMISSIVE' if self.permissive else 'RESTRICTIVE'} FOR {self.command.upper()}",
            f"TO {quote_names(self.roles) or 'PUBLIC'}",
            *([f"USING ({self.using})"] if self.using else []),
            *([f"WITH CHECK ({self.check})"] if self.check else []),
        ]
        return ["\n    ".join(clauses)]

    def drop_sql(self) -> list[str]:
        return [f"DROP POLICY {quote_name(self.name)} ON {quote_name(self.schema, self.table)}"]

    def describe(self) -> str:
        return f"policy {self.name} of {self.schema}.{self.table}"
