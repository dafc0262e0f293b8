"""Which of the project's roles go when its database goes: those that nothing else in the cluster uses.

Looked at are the things in other databases that a role owns or may use, its sessions and settings there, and the
memberships that link it to other roles, both ways. The authenticator leaves traces in no database, so it also stays
with any request role that stays: that one shows another project behind the same names.
"""

from collections.abc import Iterator

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from pgcraft_django.conf import Config
from pgcraft_django.diagnosis import server_words
from pgcraft_django.lifecycle.database import plain_errors
from pgcraft_django.naming import quote_name

# One row per role: why it must stay, the first reason that holds; NULL if it may go.
REASONS = """
SELECT r.rolname, CASE
    WHEN r.rolsuper THEN 'it is a superuser'
    WHEN r.rolname = current_user OR r.rolname = session_user THEN 'this command runs as it'
    WHEN r.rolname LIKE 'pg\\_%%' THEN 'it belongs to PostgreSQL'
    WHEN r.rolcanlogin AND r.rolname <> %(authenticator)s THEN 'it can log in, so it is more than a request role'
    ELSE coalesce(
        (
            SELECT 'the database ' || pg_catalog.quote_ident(min(d.datname)) || ' uses it'
            FROM pg_catalog.pg_database d
            WHERE d.datname <> %(database)s AND (
                EXISTS (
                    SELECT FROM pg_catalog.pg_shdepend s
                    WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.refobjid = r.oid
                      AND (s.dbid = d.oid OR s.classid = 'pg_catalog.pg_database'::regclass AND s.objid = d.oid)
                )
                OR EXISTS (
                    SELECT FROM pg_catalog.pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = d.oid
                )
                OR EXISTS (
                    SELECT FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid AND a.datid = d.oid
                )
            )
        ),
        (
            SELECT 'the role ' || pg_catalog.quote_ident(min(u.rolname)) || ' is a member of it'
            FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles u ON u.oid = m.member
            WHERE m.roleid = r.oid AND NOT m.admin_option AND u.rolname <> ALL (%(names)s)
        ),
        (
            SELECT 'it is a member of the role ' || pg_catalog.quote_ident(min(g.rolname))
            FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
            WHERE m.member = r.oid AND g.rolname <> ALL (%(names)s)
        )
    )
END
FROM pg_catalog.pg_roles r
WHERE r.rolname = ANY (%(names)s)
ORDER BY r.rolname
"""


def reasons_to_keep(beside: BaseDatabaseWrapper, config: Config, database: str) -> dict[str, str | None]:
    """Return, for each role of the settings that exists, why it must stay when `database` goes; None if it may go."""
    authenticator = config.authenticator_role
    names = [authenticator, *config.request_roles]
    with plain_errors("Looking at the roles"), beside.cursor() as cursor:
        cursor.execute(REASONS, {"authenticator": authenticator, "database": database, "names": names})
        reasons: dict[str, str | None] = dict(cursor.fetchall())
    kept = [name for name in config.request_roles if reasons.get(name)]
    if kept and authenticator in reasons and not reasons[authenticator]:
        reasons[authenticator] = f"the role {quote_name(kept[0])} stays, and it is the way to it"
    return reasons


def drop_roles(beside: BaseDatabaseWrapper, names: list[str]) -> Iterator[tuple[str, str | None]]:
    """Drop each role; yield its name, and the server's words if it refuses. What is in use is always refused."""
    with beside.cursor() as cursor:
        for name in names:
            try:
                cursor.execute(f"DROP ROLE IF EXISTS {quote_name(name)}")
            except DatabaseError as error:
                yield name, server_words(error).replace("\n", "; ")
            else:
                yield name, None
