"""The roles as they have to be: they belong to the cluster, so a scratch database has the same ones."""

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from pgcraft_django.conf import Config
from pgcraft_django.drift.reading import Catalog, Thing
from pgcraft_django.lifecycle.roles import declared_memberships, declared_roles
from pgcraft_django.naming import quote_name

ATTRIBUTES = ("LOGIN", "SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION")

KINDS = ("role", "role setting", "membership", "membership option", "privilege")
"""What is of the server, and not what migrations make."""

# Settings of a role, or of everybody here, that change what its requests see or are. Others, such as time-outs, are the
# DBA's business, and so is the search path of a database, which Django may have no other way to get.
STEERING = ("search_path", "role", "row_security", "session_replication_role")
PREFIXES = r"^(pgcraft|pgrst|request)\."
SETTINGS = """
    SELECT
        c.name || ' of ' || coalesce(pg_catalog.quote_ident(r.rolname), 'everybody')
            || CASE WHEN d.datname IS NULL THEN '' ELSE ' here' END,
        c.value,
        CASE
            WHEN r.rolname IS NULL AND d.datname IS NOT NULL THEN 'ALTER DATABASE ' || pg_catalog.quote_ident(d.datname)
            ELSE 'ALTER ROLE ' || coalesce(pg_catalog.quote_ident(r.rolname), 'ALL')
                || coalesce(' IN DATABASE ' || pg_catalog.quote_ident(d.datname), '')
        END || ' RESET ' || c.name
    FROM pg_catalog.pg_db_role_setting s
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
    LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
    CROSS JOIN pg_catalog.unnest(s.setconfig) AS item,
    pg_catalog.split_part(item, '=', 1) AS name,
    LATERAL (SELECT name, pg_catalog.substr(item, pg_catalog.length(name) + 2) AS value) AS c
    WHERE (r.rolname = ANY (%(names)s) OR (s.setrole = 0 AND c.name <> 'search_path'))
      AND (s.setdatabase = 0 OR d.datname = pg_catalog.current_database())
      AND (c.name = ANY (%(settings)s) OR c.name ~ %(prefixes)s)
"""

# Options of the memberships beyond that of switching: to give them away, and to have their rights before it switches.
# Until 15, a membership has only the first, and no such column for the other.
OPTIONS = """
    SELECT
        option.name || ' of ' || pg_catalog.quote_ident(u.rolname) || ' in ' || pg_catalog.quote_ident(r.rolname),
        pg_catalog.format(
            'REVOKE %%s OPTION FOR %%I FROM %%I GRANTED BY %%I',
            option.name, r.rolname, u.rolname, pg_catalog.pg_get_userbyid(m.grantor)
        )
    FROM pg_catalog.pg_auth_members m
    JOIN pg_catalog.pg_roles r ON r.oid = m.roleid
    JOIN pg_catalog.pg_roles u ON u.oid = m.member
    CROSS JOIN (VALUES ('ADMIN', 'admin_option'), ('INHERIT', 'inherit_option')) AS option (name, field)
    WHERE u.rolname = %(authenticator)s AND r.rolname = ANY (%(names)s)
      AND (pg_catalog.to_jsonb(m) -> option.field)::boolean
"""

# Who may create something in the database makes a schema of its own; and in public, Django looks for its tables first.
CREATING = """
    SELECT
        'create ' || place.name || ' to ' || grantee.name,
        'REVOKE CREATE ON ' || place.name || ' FROM ' || grantee.name
    FROM (
        SELECT 'DATABASE ' || pg_catalog.quote_ident(datname), datacl, datdba
        FROM pg_catalog.pg_database
        WHERE datname = pg_catalog.current_database()
        UNION ALL
        SELECT 'SCHEMA public', nspacl, nspowner
        FROM pg_catalog.pg_namespace
        WHERE nspname = 'public'
    ) AS place (name, acl, owner)
    CROSS JOIN pg_catalog.aclexplode(place.acl) AS a
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
    CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC')) AS grantee (name)
    WHERE a.privilege_type = 'CREATE'
      AND a.grantee <> place.owner
      AND (a.grantee = 0 OR r.rolname = ANY (%(names)s))
"""


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
        cursor.execute(SETTINGS, {"names": names, "settings": list(STEERING), "prefixes": PREFIXES})
        found |= {("role setting", name): Thing(value, None, reset) for name, value, reset in cursor.fetchall()}
        cursor.execute(OPTIONS, {"names": names, "authenticator": config.authenticator_role})
        found |= {("membership option", name): Thing("", None, revoke) for name, revoke in cursor.fetchall()}
        cursor.execute(CREATING, {"names": names})
        found |= {("privilege", name): Thing("", None, revoke) for name, revoke in cursor.fetchall()}
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
