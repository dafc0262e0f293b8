"""The roles as they have to be: they belong to the cluster, so a scratch database has the same ones."""

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from pgcraft_django.conf import Config
from pgcraft_django.drift.reading import Catalog, Thing
from pgcraft_django.lifecycle.roles import declared_memberships, declared_roles
from pgcraft_django.naming import quote_name

ATTRIBUTES = ("LOGIN", "SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION")


def read_roles(connection: BaseDatabaseWrapper, config: Config) -> tuple[Catalog, Catalog]:
    """Return the authenticator and the request roles as the settings want them, and as they are."""
    names = [role.name for role in declared_roles(config)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication"
            " FROM pg_catalog.pg_roles WHERE rolname = ANY (%s)",
            [names],
        )
        found = {("role", name): _role("ALTER", name, flags) for name, *flags in cursor.fetchall()}
        cursor.execute(
            "SELECT r.rolname, u.rolname FROM pg_catalog.pg_auth_members m"
            " JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member"
            " WHERE u.rolname = ANY (%s)",
            [names],
        )
        found |= dict(_membership(role, member) for role, member in cursor.fetchall())
    wanted = {
        ("role", role.name): _role(
            "ALTER" if ("role", role.name) in found else "CREATE",
            role.name,
            [role.login, *[False] * (len(ATTRIBUTES) - 1)],
        )
        for role in declared_roles(config)
    }
    return wanted | dict(_membership(item.role, item.member) for item in declared_memberships(config)), found


def _role(verb: str, name: str, flags: Sequence[bool]) -> Thing:
    words = " ".join(word if flag else f"NO{word}" for word, flag in zip(ATTRIBUTES, flags, strict=True))
    return Thing(words, f"{verb} ROLE {quote_name(name)} {words}", None)


def _membership(role: str, member: str) -> tuple[tuple[str, str], Thing]:
    granted, grantee = quote_name(role), quote_name(member)
    thing = Thing("", f"GRANT {granted} TO {grantee}", f"REVOKE {granted} FROM {grantee}")
    return ("membership", f"{grantee} in {granted}"), thing
