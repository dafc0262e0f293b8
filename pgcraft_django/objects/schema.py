"""Schemas. Several apps may put tables into one: each declares it, the last one out drops it."""

from dataclasses import dataclass

from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.objects.base import DatabaseObject, ObjectKey, do_block

MARK = "Made by pgcraft_django, dropped with the last object in it."
"""The second line of our schemas' comments. A schema that was there before, or that a DBA made, is not ours to drop."""


def schema_key(name: str) -> ObjectKey:
    """Return the identity of the schema `name`."""
    return ObjectKey("schema", "", name)


@dataclass(frozen=True, kw_only=True)
class Schema(DatabaseObject):
    """A schema, created if missing, and dropped if this package made it and nothing is left in it."""

    kind = "schema"
    shared = True
    name: str

    @property
    def key(self) -> ObjectKey:
        return schema_key(self.name)

    @property
    def _comment(self) -> str:
        """What tells that it is ours. PostgREST takes the first line for the title of the API."""
        return f"{self.name}\n{MARK}"

    def create_sql(self) -> list[str]:
        # CREATE SCHEMA IF NOT EXISTS wants CREATE on the database even if the schema is there.
        return [
            do_block(f"""
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = {quote_text(self.name)}) THEN
        CREATE SCHEMA {quote_name(self.name)};
        COMMENT ON SCHEMA {quote_name(self.name)} IS {quote_text(self._comment)};
    END IF;
END
""")
        ]

    def drop_sql(self) -> list[str]:
        return [
            do_block(f"""
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_namespace n
        WHERE n.nspname = {quote_text(self.name)}
          AND pg_catalog.obj_description(n.oid, 'pg_namespace') = {quote_text(self._comment)}
          AND NOT EXISTS (
              SELECT FROM pg_catalog.pg_depend d
              WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass AND d.refobjid = n.oid
          )
    ) THEN
        DROP SCHEMA {quote_name(self.name)};
    END IF;
END
""")
        ]
