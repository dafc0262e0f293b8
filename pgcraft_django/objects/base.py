"""What every database object is: a frozen value with an identity and its own SQL.

An object is compared by value, lives in migration files as a literal, and knows three verbs: create it,
drop it, and turn an older version of itself into this one. It never reads settings, models or a database,
so that a migration means the same in ten years.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self

from pgcraft_django.naming import quote_text


class ObjectKey(NamedTuple):
    """Identity of an object within a database. Tables and views share a namespace: both are a `relation`."""

    kind: str
    schema: str
    name: str
    args: str = ""


@dataclass(frozen=True, kw_only=True)
class DatabaseObject(ABC):
    """Base of all kinds. Subclasses are frozen dataclasses whose fields are plain literals."""

    kind: ClassVar[str]
    """What a person calls it: `view`, `function` …"""
    shared: ClassVar[bool] = False
    """True if every app that needs it declares it; creating it twice and dropping it while in use do nothing."""

    @property
    @abstractmethod
    def key(self) -> ObjectKey:
        """What the object is, whatever its content."""

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        """Objects that must exist first, and that cannot be dropped while this one exists."""
        return frozenset()

    @property
    def columns_held(self) -> dict[str, frozenset[str]]:
        """Quoted names of tables that the object holds on to, each with the columns it needs."""
        return {}

    @abstractmethod
    def create_sql(self) -> list[str]:
        """Statements that create it."""

    @abstractmethod
    def drop_sql(self) -> list[str]:
        """Statements that drop it. Never CASCADE."""

    def replace_sql(self, old: Self) -> list[str] | None:
        """Statements that turn `old` into this in place, keeping what hangs on it; None if it must be re-created."""
        return None

    def narrowed(self, new: Self | None, removed: Mapping[str, frozenset[str]]) -> Self | None:
        """What of this may stay in place, on the way to `new`, while columns go from under it.

        `removed` names, by quoted table, columns that are about to be dropped. None: it must be dropped before
        and, if there is a `new`, created after. Kinds that can lose a part override this.
        """
        if new is None or any(
            columns & removed.get(table, frozenset()) for table, columns in self.columns_held.items()
        ):
            return None
        return None if new != self and new.replace_sql(self) is None else self

    def describe(self) -> str:
        """Name it for a person: `view api.users`."""
        return f"{self.kind} {'.'.join(part for part in (self.key.schema, self.key.name) if part)}"

    def constructor_arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments that differ from their defaults, in order of declaration."""
        values = {}
        for item in fields(self):
            value = getattr(self, item.name)
            default = item.default_factory() if item.default_factory is not MISSING else item.default
            if value != default:
                values[item.name] = value
        return values


def do_block(body: str) -> str:
    """Return `body` (PL/pgSQL, from BEGIN on or with DECLARE) as an anonymous block."""
    return f"DO {quote_text(body.strip())}"


def without_default_privileges(target: str) -> str:
    """Return a block that revokes what ALTER DEFAULT PRIVILEGES has granted on `target`, which was just made."""
    # Most databases have none, and PostgreSQL plans the query only where it comes to it.
    return do_block(f"""
DECLARE
    grantee text;
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_default_acl) THEN
        FOR grantee IN
            SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(r.rolname) END
            FROM pg_catalog.pg_default_acl d, pg_catalog.aclexplode(d.defaclacl) a
            LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
            WHERE r.rolname IS DISTINCT FROM current_user
        LOOP
            EXECUTE {quote_text(f"REVOKE ALL ON {target} FROM ")} || grantee;
        END LOOP;
    END IF;
END
""")
