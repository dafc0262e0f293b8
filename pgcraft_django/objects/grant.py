"""What a role may do with a schema, a table or view and its columns, or a function.

A grant is one value per role and object: what it says is all that the role may do with it. So changing it revokes
everything first, and no earlier or parallel migration can leave a privilege behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pgcraft_django.naming import quote_name, quote_names, quote_text
from pgcraft_django.objects.base import DatabaseObject, ObjectKey, do_block
from pgcraft_django.objects.function import function_key
from pgcraft_django.objects.relation import relation_key
from pgcraft_django.objects.role import role_key
from pgcraft_django.objects.schema import schema_key


@dataclass(frozen=True, kw_only=True)
class SchemaGrant(DatabaseObject):
    """USAGE on a schema. Shared by the apps that need it: revoked when the role has nothing left in the schema."""

    kind = "usage"
    shared = True
    schema: str
    role: str

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("usage", self.schema, "", self.role)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({schema_key(self.schema), role_key(self.role)})

    def create_sql(self) -> list[str]:
        return [f"GRANT USAGE ON SCHEMA {quote_name(self.schema)} TO {quote_name(self.role)}"]

    def drop_sql(self) -> list[str]:
        return [
            do_block(f"""
DECLARE
    role_oid oid := (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {quote_text(self.role)});
    schema_oid oid := (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {quote_text(self.schema)});
BEGIN
    IF role_oid IS NOT NULL AND schema_oid IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
        WHERE c.relnamespace = schema_oid AND a.grantee = role_oid
        UNION ALL
        SELECT FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_attribute t ON t.attrelid = c.oid, pg_catalog.aclexplode(t.attacl) a
        WHERE c.relnamespace = schema_oid AND a.grantee = role_oid
        UNION ALL
        SELECT FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a
        WHERE p.pronamespace = schema_oid AND a.grantee = role_oid
    ) THEN
        REVOKE USAGE ON SCHEMA {quote_name(self.schema)} FROM {quote_name(self.role)};
    END IF;
END
""")
        ]

    def describe(self) -> str:
        return f"usage of schema {self.schema} for {self.role}"


@dataclass(frozen=True, kw_only=True)
class TableGrant(DatabaseObject):
    """Privileges on a table or view: `{"select": ["id", "name"], "delete": []}`; no columns means the whole."""

    kind = "grant"
    schema: str
    table: str
    role: str
    privileges: Mapping[str, list[str]]

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("grant", self.schema, self.table, self.role)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({relation_key(self.schema, self.table), role_key(self.role)})

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        columns = frozenset(column for columns in self.privileges.values() for column in columns)
        return {quote_name(self.schema, self.table): columns}

    @property
    def _relation(self) -> str:
        return quote_name(self.schema, self.table)

    @property
    def _items(self) -> set[tuple[str, str]]:
        """Each single privilege: (`select`, column), the column empty for the whole relation."""
        return {(privilege, column) for privilege, columns in self.privileges.items() for column in columns or [""]}

    def create_sql(self) -> list[str]:
        parts = []
        for privilege, columns in sorted(self.privileges.items()):
            parts.append(f"{privilege.upper()} ({quote_names(sorted(columns))})" if columns else privilege.upper())
        # First nothing: by ALTER DEFAULT PRIVILEGES, a table that was just made can be more open than this.
        grant = f"GRANT {', '.join(parts)} ON {self._relation} TO {quote_name(self.role)}"
        return [*self.drop_sql(), *([grant] if parts else [])]

    def drop_sql(self) -> list[str]:
        # Of the columns too, and whatever it was: merged branches of migrations may have granted more than this.
        return [f"REVOKE ALL ON {self._relation} FROM {quote_name(self.role)}"]

    def replace_sql(self, old: Self) -> list[str]:
        return self.create_sql()

    def narrowed(self, new: Self | None, removed: Mapping[str, frozenset[str]]) -> Self | None:
        gone = removed.get(quote_name(self.schema, self.table), frozenset())
        stays = self._items & (new._items if new else set())
        privileges = {
            privilege: [column for column in columns if (privilege, column) in stays and column not in gone]
            for privilege, columns in self.privileges.items()
        }
        kept = {privilege: columns for privilege, columns in privileges.items() if columns or (privilege, "") in stays}
        if kept == self.privileges:
            return self
        return type(self)(schema=self.schema, table=self.table, role=self.role, privileges=kept) if kept else None

    def describe(self) -> str:
        return f"grant on {self.schema}.{self.table} to {self.role}"


@dataclass(frozen=True, kw_only=True)
class FunctionGrant(DatabaseObject):
    """EXECUTE on a function."""

    kind = "execute"
    schema: str
    function: str
    arguments: str = ""
    role: str

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("execute", self.schema, self.function, f"{self.arguments} {self.role}")

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({function_key(self.schema, self.function, self.arguments), role_key(self.role)})

    def _statement(self, verb: str, direction: str) -> list[str]:
        signature = f"{quote_name(self.schema, self.function)}({self.arguments})"
        return [f"{verb} EXECUTE ON FUNCTION {signature} {direction} {quote_name(self.role)}"]

    def create_sql(self) -> list[str]:
        return self._statement("GRANT", "TO")

    def drop_sql(self) -> list[str]:
        return self._statement("REVOKE", "FROM")

    def describe(self) -> str:
        return f"execute on {self.schema}.{self.function} to {self.role}"
