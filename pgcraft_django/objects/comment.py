"""Comments on a view or table and its columns: PostgREST shows them in its OpenAPI description."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.objects.base import DatabaseObject, ObjectKey
from pgcraft_django.objects.relation import relation_key


@dataclass(frozen=True, kw_only=True)
class Comment(DatabaseObject):
    """The texts of one relation and of its columns. `on` is how SQL calls it: `view`, `table` …"""

    kind = "comment"
    on: str = "view"
    schema: str
    name: str
    text: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("comment", self.schema, self.name)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({relation_key(self.schema, self.name)})

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        return {quote_name(self.schema, self.name): frozenset(self.columns)}

    def _statements(self, text: str | None, columns: Mapping[str, str | None]) -> list[str]:
        def literal(value: str | None) -> str:
            return quote_text(value) if value else "NULL"

        relation = quote_name(self.schema, self.name)
        return [
            *([] if text is None else [f"COMMENT ON {self.on.upper()} {relation} IS {literal(text)}"]),
            *(
                f"COMMENT ON COLUMN {relation}.{quote_name(column)} IS {literal(value)}"
                for column, value in columns.items()
            ),
        ]

    def create_sql(self) -> list[str]:
        return self._statements(self.text or None, self.columns)

    def drop_sql(self) -> list[str]:
        return self._statements("" if self.text else None, dict.fromkeys(self.columns))

    def replace_sql(self, old: Self) -> list[str] | None:
        if old.on != self.on:
            return None
        gone = dict.fromkeys(column for column in old.columns if column not in self.columns)
        changed = {column: value for column, value in self.columns.items() if old.columns.get(column) != value}
        return self._statements(self.text if self.text != old.text else None, {**gone, **changed})

    def narrowed(self, new: Self | None, removed: Mapping[str, frozenset[str]]) -> Self | None:
        gone = removed.get(quote_name(self.schema, self.name), frozenset())
        if new is None or new.on != self.on:
            return None
        kept = {column: value for column, value in self.columns.items() if column not in gone and column in new.columns}
        if kept == self.columns:
            return self
        return type(self)(on=self.on, schema=self.schema, name=self.name, text=self.text, columns=kept)

    def describe(self) -> str:
        return f"comments of {self.schema}.{self.name}"
