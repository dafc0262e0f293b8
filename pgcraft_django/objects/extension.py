"""PostgreSQL extensions."""

from dataclasses import dataclass

from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.objects.base import DatabaseObject, ObjectKey
from pgcraft_django.objects.role import retrying
from pgcraft_django.objects.schema import schema_key


@dataclass(frozen=True, kw_only=True)
class Extension(DatabaseObject):
    """An extension such as `btree_gist`, in `schema` if one is named."""

    kind = "extension"
    shared = True
    name: str
    schema: str = ""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("extension", "", self.name)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({schema_key(self.schema)} if self.schema else ())

    def create_sql(self) -> list[str]:
        into = f" SCHEMA {quote_name(self.schema)}" if self.schema else ""
        return [
            retrying(
                f"NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = {quote_text(self.name)})",
                f"CREATE EXTENSION {quote_name(self.name)}{into}",
                f"This database user may not create the extension {quote_name(self.name)}.",
                "Have a DBA create it in this database.",
            )
        ]

    def drop_sql(self) -> list[str]:
        # Another app, or a column's type, may still need it, and it may have been there before us.
        return []
