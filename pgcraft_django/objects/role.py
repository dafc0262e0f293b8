"""Roles and their memberships.

Roles belong to the whole cluster, not to a database: they are created if missing, also by several databases at
once, and never dropped or revoked by a migration. `pgcraft_wipe_db` clears them away in development.
"""

from dataclasses import dataclass

from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.objects.base import DatabaseObject, ObjectKey, do_block

ROLES_HINT = "Run `manage.py pgcraft_roles`, or have a DBA run what `manage.py pgcraft_roles --sql` prints."


def role_key(name: str) -> ObjectKey:
    """Return the identity of the role `name`."""
    return ObjectKey("role", "", name)


def retrying(condition: str, statement: str, failure: str, hint: str = ROLES_HINT) -> str:
    """Return a block that runs `statement` while `condition` holds, whatever other sessions do meanwhile.

    Who may not is told `failure`, `hint` and the statement.

    Two sessions that create one role, or grant one membership, at once collide in the shared catalogs with
    several kinds of error ("tuple concurrently updated" among them); trying again finds the work done.
    """
    return do_block(f"""
BEGIN
    FOR attempt IN 1..50 LOOP
        EXIT WHEN NOT ({condition});
        BEGIN
            {statement};
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION USING
                    ERRCODE = 'insufficient_privilege',
                    MESSAGE = {quote_text(failure)},
                    HINT = {quote_text(f"{hint} It is: {statement};")};
            WHEN duplicate_object OR unique_violation OR internal_error THEN
                IF attempt = 50 THEN
                    RAISE;
                END IF;
                PERFORM pg_catalog.pg_sleep(0.02);
        END;
    END LOOP;
END
""")


@dataclass(frozen=True, kw_only=True)
class Role(DatabaseObject):
    """A role. Request roles cannot log in; the authenticator can, and inherits nothing from them."""

    kind = "role"
    shared = True
    name: str
    login: bool = False

    @property
    def key(self) -> ObjectKey:
        return role_key(self.name)

    def create_sql(self) -> list[str]:
        return [
            retrying(
                f"NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {quote_text(self.name)})",
                f"CREATE ROLE {quote_name(self.name)} {'LOGIN' if self.login else 'NOLOGIN'} NOINHERIT",
                f"The role {quote_name(self.name)} does not exist, and this database user may not create roles.",
            )
        ]

    def drop_sql(self) -> list[str]:
        return []


@dataclass(frozen=True, kw_only=True)
class RoleMembership(DatabaseObject):
    """`member` may switch to `role`, as PostgREST's authenticator switches to a request role."""

    kind = "membership"
    shared = True
    role: str
    member: str

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("membership", "", self.role, self.member)

    @property
    def depends_on(self) -> frozenset[ObjectKey]:
        return frozenset({role_key(self.role), role_key(self.member)})

    def create_sql(self) -> list[str]:
        role, member = quote_text(self.role), quote_text(self.member)
        return [
            retrying(
                "NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m"
                " JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member"
                f" WHERE r.rolname = {role} AND u.rolname = {member})",
                f"GRANT {quote_name(self.role)} TO {quote_name(self.member)}",
                f"This database user may not grant the role {quote_name(self.role)} to {quote_name(self.member)}.",
            )
        ]

    def drop_sql(self) -> list[str]:
        return []

    def describe(self) -> str:
        return f"membership of {self.member} in {self.role}"
