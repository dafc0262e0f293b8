"""Functions: closed unless granted, and, as definer, with a search path nobody else can steer."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.objects.base import DatabaseObject, ObjectKey, do_block, without_default_privileges
from pgcraft_django.objects.relation import Reads, held
from pgcraft_django.objects.schema import schema_key

# Listed explicitly, pg_temp is searched last: a temporary type or table cannot stand in for a real one.
# `''` and `pg_catalog` alone search pg_temp first.
SAFE_SEARCH_PATH = "pg_catalog, pg_temp"

# A plan is kept for the session. Made while the tables were small, it would read all of them for each row, also when
# they have grown, be it by the same statement.
GROWING = {"enable_seqscan": "off"}
"""Settings of functions over tables that grow."""


def function_key(schema: str, name: str, arguments: str) -> ObjectKey:
    """Return the identity of a function with the given argument declarations."""
    return ObjectKey("function", schema, name, arguments)


@dataclass(frozen=True, kw_only=True)
class Function(DatabaseObject):
    """A function. EXECUTE is taken from PUBLIC at once; grants give it to roles.

    `arguments` and `returns` are SQL (`"amount" numeric, "note" text`), without defaults in `arguments`.
    `optional` are further arguments, one by one; left out, they are NULL.
    `body` is what follows the attributes: `AS …`, `BEGIN ATOMIC …` or `RETURN …`.
    """

    kind = "function"
    schema: str
    name: str
    arguments: str = ""
    returns: str
    language: str = "sql"
    volatility: str = "volatile"
    security_definer: bool = False
    body: str
    requires: list[tuple[str, ...]] = field(default_factory=list)
    """Keys of the objects that the body, the arguments or the result name."""
    reads: Reads = field(default_factory=dict)
    """Tables whose columns the body names. If they change, the function is dropped before, and created after."""
    optional: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    """Settings of the server while it runs: `{"enable_seqscan": "off"}`."""
    comment: str = ""
    """What PostgREST shows of it: its first line, and beside that the rest."""

    @property
    def key(self) -> ObjectKey:
        return function_key(self.schema, self.name, self.parameters)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({schema_key(self.schema), *(ObjectKey(*key) for key in self.requires)})

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        return held(self.reads)

    @property
    def parameters(self) -> str:
        """All arguments, those that may be left out included."""
        return ", ".join([*([self.arguments] if self.arguments else []), *self.optional])

    @property
    def signature(self) -> str:
        """How SQL names the function: `"api"."total"("amount" numeric)`."""
        return f"{quote_name(self.schema, self.name)}({self.parameters})"

    def _create(self, verb: str) -> str:
        definer = f"\n    SECURITY DEFINER SET search_path = {SAFE_SEARCH_PATH}" if self.security_definer else ""
        settings = "".join(
            f"\n    SET {quote_name(*name.split('.'))} = {quote_text(value)}"
            for name, value in sorted(self.settings.items())
        )
        defaults = [f"{argument} DEFAULT NULL" for argument in self.optional]
        declared = ", ".join([*([self.arguments] if self.arguments else []), *defaults])
        return (
            f"{verb} FUNCTION {quote_name(self.schema, self.name)}({declared})\n"
            f"    RETURNS {self.returns}\n"
            f"    LANGUAGE {quote_name(self.language)} {self.volatility.upper()}{definer}{settings}\n"
            f"{self.body}"
        )

    def _describe(self) -> str:
        text = quote_text(self.comment) if self.comment else "NULL"
        return f"COMMENT ON FUNCTION {self.signature} IS {text}"

    def create_sql(self) -> list[str]:
        return [
            self._create("CREATE"),
            f"REVOKE ALL ON FUNCTION {self.signature} FROM PUBLIC",
            without_default_privileges(f"FUNCTION {self.signature}"),
            *([self._describe()] if self.comment else []),
        ]

    def drop_sql(self) -> list[str]:
        return [f"DROP FUNCTION {self.signature}"]

    def replace_sql(self, old: Self) -> list[str] | None:
        if (old.returns, old.reads, old.optional) != (self.returns, self.reads, self.optional):
            return None
        return [self._create("CREATE OR REPLACE"), *([self._describe()] if self.comment != old.comment else [])]


@dataclass(frozen=True, kw_only=True)
class SharedFunction(Function):
    """A trigger function that many tables use, of several apps: the last trigger out drops it."""

    shared: ClassVar[bool] = True

    def create_sql(self) -> list[str]:
        return [self._create("CREATE OR REPLACE"), f"REVOKE ALL ON FUNCTION {self.signature} FROM PUBLIC"]

    def drop_sql(self) -> list[str]:
        return [
            do_block(f"""
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_trigger t
        JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
        JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = {quote_text(self.schema)} AND p.proname = {quote_text(self.name)}
    ) THEN
        DROP FUNCTION IF EXISTS {self.signature};
    END IF;
END
""")
        ]
