"""PostgreSQL extensions."""

from dataclasses import dataclass

from pgcraft_django.naming import quote_name
from pgcraft_django.objects.base import DatabaseObject, ObjectKey
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
        return [f"CREATE EXTENSION IF NOT EXISTS {quote_name(self.name)}{into}"]

    def drop_sql(self) -> list[str]:
        # Another app, or a column's type, may still need it, and it may have been there before us.
        return []
