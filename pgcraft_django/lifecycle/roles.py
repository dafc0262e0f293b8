"""The roles a request passes through: PostgREST logs in as the authenticator and switches to a request role.

Roles belong to the whole cluster, so nothing is assumed: what is missing is added, what is there stays as it is,
and an attribute that would make a role dangerous is reported. The password travels only as its SCRAM verifier.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from pgcraft_django.conf import Config
from pgcraft_django.diagnosis import INSUFFICIENT_PRIVILEGE, server_words, sqlstate
from pgcraft_django.errors import ConfigurationError, ServerError
from pgcraft_django.lifecycle.database import plain_errors
from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.objects.base import do_block
from pgcraft_django.objects.role import Role, RoleMembership

PASSWORD_VARIABLE = "PGRST_DB_PASSWORD"  # noqa: S105 - the name of the variable

DANGEROUS = {
    "SUPERUSER": "is a superuser: nothing is closed to it",
    "BYPASSRLS": "bypasses row-level security",
    "CREATEROLE": "may create and change roles",
    "REPLICATION": "may copy the whole server",
}


@dataclass(frozen=True)
class Outcome:
    """What `ensure_roles` found and did: sentences for a person."""

    done: list[str]
    warnings: list[str]


def declared_roles(config: Config) -> list[Role]:
    """Return the authenticator and the request roles that the settings name.

    Raises `ConfigurationError` if the authenticator is also a request role.
    """
    if config.authenticator_role in config.request_roles:
        raise ConfigurationError(
            f"The role {config.authenticator_role!r} is both AUTHENTICATOR_ROLE and a request role in the setting "
            "PGCRAFT; a request would then keep the authenticator's rights. Give them different names."
        )
    request_roles = [Role(name=name) for name in config.request_roles]
    return [Role(name=config.authenticator_role, login=True), *request_roles]


def declared_memberships(config: Config) -> list[RoleMembership]:
    """Return the memberships that let the authenticator switch to each request role."""
    return [RoleMembership(role=name, member=config.authenticator_role) for name in config.request_roles]


def ensure_roles(connection: BaseDatabaseWrapper, config: Config) -> Outcome:
    """Make the roles and memberships that are missing, and set the authenticator's password if the variable is set.

    Raises `ServerError` if this database user may not do what is missing, `ConfigurationError` for unusable settings.
    """
    roles, memberships = declared_roles(config), declared_memberships(config)
    authenticator = config.authenticator_role
    with plain_errors("Making the roles"), connection.cursor() as cursor:
        _refuse_own_role(cursor, config)
        cursor.execute("SELECT rolname FROM pg_catalog.pg_roles")
        before = {name for (name,) in cursor.fetchall()}
        cursor.execute(
            "SELECT pg_catalog.pg_get_userbyid(roleid), pg_catalog.pg_get_userbyid(member)"
            " FROM pg_catalog.pg_auth_members"
        )
        granted = set(cursor.fetchall())
        for item in (*roles, *memberships):
            for statement in item.create_sql():
                cursor.execute(statement)
        cursor.execute(connect_sql(authenticator, connection.settings_dict["NAME"]))
    done = [f"Created the role {role.name}." for role in roles if role.name not in before]
    done += [f"Granted {m.role} to {m.member}." for m in memberships if (m.role, m.member) not in granted]
    warnings = list(_dangers(connection, config))
    if password := os.environ.get(PASSWORD_VARIABLE):
        try:
            _set_password(connection, authenticator, password)
            done.append(f"Set the password of {authenticator} from {PASSWORD_VARIABLE}.")
        except DatabaseError as error:
            if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
                raise ServerError(f"Setting the password of {authenticator} failed: {server_words(error)}") from None
            warnings.append(
                f"This database user may not set the password of {authenticator}: it stays as it is. If it is not the "
                f"one in {PASSWORD_VARIABLE}, a DBA sets it in psql with \\password {quote_name(authenticator)}"
            )
    elif authenticator not in before:
        warnings.append(
            f"The role {authenticator} has no password, because {PASSWORD_VARIABLE} is not set. Set the variable and "
            "run `manage.py pgcraft_roles` again; pgcraft_serve reads the same variable."
        )
    return Outcome(done, warnings)


def _refuse_own_role(cursor: CursorWrapper, config: Config) -> None:
    """Raise `ConfigurationError` if a request would be, or could become, the owner of all tables.

    As the authenticator it would get another password than Django has for it, too.
    """
    cursor.execute("SELECT session_user, current_user")
    for name in cursor.fetchone():
        if name in (config.authenticator_role, *config.request_roles):
            raise ConfigurationError(
                f"The role {name!r} in the setting PGCRAFT is the one that Django itself uses: nothing would be closed "
                "to a request. Give it another name."
            )


def connect_sql(role: str, database: str) -> str:
    """Return a block that lets `role` into `database`, if it may not yet."""
    return do_block(f"""
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_database
        WHERE datname = {quote_text(database)}
          AND NOT pg_catalog.has_database_privilege({quote_text(role)}, oid, 'CONNECT')
    ) THEN
        GRANT CONNECT ON DATABASE {quote_name(database)} TO {quote_name(role)};
    END IF;
END
""")


def _dangers(connection: BaseDatabaseWrapper, config: Config) -> Iterator[str]:
    """Yield a sentence for each attribute and membership that lets a request do more than its grants say.

    Or that lets PostgREST do less than it has to.
    """
    authenticator = config.authenticator_role
    with plain_errors("Looking at the roles"), connection.cursor() as cursor:
        yield from _strange_memberships(cursor, [authenticator, *config.request_roles])
        yield from _dangerous_attributes(cursor, config)
        yield from _inherited_rights(cursor, config, can_choose=connection.pg_version >= 160000)  # type: ignore[attr-defined]


def _strange_memberships(cursor: CursorWrapper, names: list[str]) -> Iterator[str]:
    cursor.execute(
        "SELECT r.rolname, u.rolname FROM pg_catalog.pg_auth_members m"
        " JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member"
        " WHERE u.rolname = ANY (%s) AND r.rolname <> ALL (%s) GROUP BY 1, 2 ORDER BY 1, 2",
        [names, names],
    )
    for role, member in cursor.fetchall():
        yield (
            f"The role {member} is a member of {role}, which the setting PGCRAFT does not name: a token can name it, "
            f"too. To repair it: REVOKE {quote_name(role)} FROM {quote_name(member)};"
        )


def _dangerous_attributes(cursor: CursorWrapper, config: Config) -> Iterator[str]:
    authenticator = config.authenticator_role
    cursor.execute(
        "SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolreplication"
        " FROM pg_catalog.pg_roles WHERE rolname = ANY (%s) ORDER BY rolname",
        [[authenticator, *config.request_roles]],
    )
    for name, can_login, *flags in cursor.fetchall():
        for (attribute, danger), present in zip(DANGEROUS.items(), flags, strict=True):
            if present:
                yield f"The role {name} {danger}. To repair it: ALTER ROLE {quote_name(name)} NO{attribute};"
        if can_login and name != authenticator:
            yield (
                f"The role {name} can log in; a request role is only switched to."
                f" To repair it: ALTER ROLE {quote_name(name)} NOLOGIN;"
            )
        if name == authenticator and not can_login:
            yield (
                f"The role {name} cannot log in, and PostgREST logs in as it."
                f" To repair it: ALTER ROLE {quote_name(name)} LOGIN;"
            )


def _inherited_rights(cursor: CursorWrapper, config: Config, *, can_choose: bool) -> Iterator[str]:
    """Yield what the authenticator may do without switching roles. A superuser has all rights in any case.

    From PostgreSQL 16 on, one `can_choose` for each membership whether it is inherited.
    """
    authenticator = config.authenticator_role
    cursor.execute(
        "SELECT r.rolname FROM pg_catalog.pg_roles r, pg_catalog.pg_roles u"
        " WHERE r.rolname = ANY (%s) AND u.rolname = %s AND NOT u.rolsuper"
        " AND pg_catalog.pg_has_role(u.oid, r.oid, 'USAGE') ORDER BY r.rolname",
        [list(config.request_roles), authenticator],
    )
    for (name,) in cursor.fetchall():
        how = (
            f"GRANT {quote_name(name)} TO {quote_name(authenticator)} WITH INHERIT FALSE;"
            if can_choose
            else f"ALTER ROLE {quote_name(authenticator)} NOINHERIT;"
        )
        yield f"The role {authenticator} has the rights of {name} before it switches to it. To repair it: {how}"


def _set_password(connection: BaseDatabaseWrapper, role: str, password: str) -> None:
    """Give `role` its password, by its verifier, which comes into no log.

    Servers log statements and their parameters, but neither the rows of a COPY nor what a block runs inside; and
    going past Django's cursor keeps it out of Django's log of statements.
    """
    with transaction.atomic(using=connection.alias):
        raw = connection.connection
        verifier = raw.pgconn.encrypt_password(os.fsencode(password), role.encode(), b"scram-sha-256").decode()
        with connection.wrap_database_errors, raw.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE pgcraft_verifier (verifier text)")
            with cursor.copy("COPY pg_temp.pgcraft_verifier FROM STDIN") as copy:
                copy.write_row([verifier])
            cursor.execute(_password_sql(role))
            cursor.execute("DROP TABLE pg_temp.pgcraft_verifier")


def _password_sql(role: str) -> str:
    # Errors are raised anew, because the context of the original one quotes the statement with the verifier.
    # internal_error is "tuple concurrently updated": another session changes the role at this moment.
    return do_block(f"""
BEGIN
    FOR attempt IN 1..50 LOOP
        BEGIN
            EXECUTE (
                SELECT pg_catalog.format('ALTER ROLE %I PASSWORD %L', {quote_text(role)}, verifier)
                FROM pg_temp.pgcraft_verifier
            );
            EXIT;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE <> 'XX000' OR attempt = 50 THEN
                RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM;
            END IF;
            PERFORM pg_catalog.pg_sleep(0.02);
        END;
    END LOOP;
END
""")
