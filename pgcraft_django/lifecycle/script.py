"""What a DBA does once, as a script for psql: afterwards nobody has to be more than an owner of one database.

There is no password in it, not even a verifier: scripts are mailed and kept, and a verifier is enough to guess
passwords against. psql's `\\password` asks for one and sends its verifier.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pgcraft_django.conf import Config
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.lifecycle.roles import DANGEROUS, connect_sql, declared_memberships, declared_roles
from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.objects.base import do_block
from pgcraft_django.objects.role import RoleMembership, retrying

# No lock_timeout for the owner: `migrate` waits briefly and tries again, if nobody says how long to wait. And some
# migrations take long.
REQUEST_LIMITS = {"statement_timeout": "10s", "lock_timeout": "3s", "idle_in_transaction_session_timeout": "30s"}
WRITER_LIMITS = {"statement_timeout": "30s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "60s"}
OWNER_LIMITS = {"idle_in_transaction_session_timeout": "10min"}

# So that nothing has to be granted on each table, now or later. There is nothing else in a database of its own.
WRITER_ROLES = ("pg_read_all_data", "pg_write_all_data")

_ONLY_SUPERUSERS = """\
BEGIN
    IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = pg_catalog.format('%I is no superuser, as this script needs. Nothing was changed.', current_user),
            HINT = 'Where nobody is one, make the database and its owner by the means of your provider. A role with '
                'CREATEROLE can run what `manage.py pgcraft_roles --sql` prints without --owner.';
    END IF;
END"""


def roles_script(config: Config, database: str) -> str:
    """Return the SQL that a DBA runs instead of `ensure_roles`; it may be run again.

    Raises `ConfigurationError` for a name with a line break.
    """
    _check_lines([database, config.authenticator_role, *config.request_roles])
    return _script(
        "-- The roles of pgcraft_django. Run this as a superuser, or as a role with CREATEROLE, in any database of the "
        "cluster:\n--     psql --set ON_ERROR_STOP=1 --file roles.sql",
        [*_roles(config, database), *_told(config)],
        [config.authenticator_role],
    )


def database_script(config: Config, database: str, owner: str, writer: str | None) -> str:
    """Return the SQL that makes the roles, limits them, and makes a database that is open to nobody else.

    `owner` migrates, `writer` is who Django is for the rest of the time; None if that is the owner, too.
    Raises `ConfigurationError` if one role would be two of these, and for a name with a line break.
    """
    users = [owner, *([writer] if writer else [])]
    _check_lines([database, *users, config.authenticator_role, *config.request_roles])
    for name in users:
        if name in (config.authenticator_role, *config.request_roles) or users.count(name) > 1:
            raise ConfigurationError(
                f"The role {name!r} would be two things at once, and could do what only one of them may. "
                "Give --owner, --writer and the roles in the setting PGCRAFT different names."
            )
    return _script(
        "-- The database and the roles of a project with pgcraft_django. Run this as a superuser:\n"
        "--     psql --set ON_ERROR_STOP=1 --file roles.sql postgres",
        [
            "\\set ON_ERROR_STOP on\n",
            "-- before anything is made: without a superuser half of it would be",
            do_block(_ONLY_SUPERUSERS),
            *_database(database, owner, users),
            *_roles(config, database),
            *_closed(config, database, owner, users),
            *_told(config, users, writer),
        ],
        [*users, config.authenticator_role],
    )


def _check_lines(names: Iterable[str]) -> None:
    """Raise `ConfigurationError` for a name that would end a comment, or a command of psql, in the middle."""
    for name in names:
        if "\n" in name or "\r" in name:
            raise ConfigurationError(f"The name {name!r} has a line break, which a script cannot hold.")


def _script(head: str, statements: list[str], with_password: list[str]) -> str:
    body = "\n".join(line if line.startswith(("--", "\\")) else f"{line};\n" for line in statements)
    passwords = "\n".join(f"--     \\password {quote_name(name)}" for name in with_password)
    return f"""\
{head}
-- What is there already stays as it is, so it may be run again.

{body}
-- The password is not in here, so that this file is no secret. Set it in psql, which asks for it:
{passwords}
"""


def _roles(config: Config, database: str) -> list[str]:
    statements = [
        statement
        for item in (*declared_roles(config), *declared_memberships(config))
        for statement in (f"-- {item.describe()}", *item.create_sql())
    ]
    connect = connect_sql(config.authenticator_role, database)
    return [*statements, f"-- CONNECT for {config.authenticator_role}, where it is not open to everyone", connect]


def _database(database: str, owner: str, users: list[str]) -> Iterator[str]:
    for name in users:
        what = "the owner, who migrates" if name == owner else "the writer, who Django is when it does not migrate"
        yield f"-- {what}"
        missing = f"NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {quote_text(name)})"
        yield retrying(missing, f"CREATE ROLE {quote_name(name)} LOGIN", f"No role {quote_name(name)} could be made.")
    yield f"-- whose the database is, if it is there already: {owner} could not migrate that of somebody else"
    yield _belongs(database, owner)
    create = f"CREATE DATABASE {quote_name(database)} OWNER {quote_name(owner)} TEMPLATE template0 ENCODING 'UTF8'"
    yield "-- the database"
    yield (
        f"\\set QUIET on\nSELECT {quote_text(create)}\n"
        f"WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = {quote_text(database)}) \\gexec\n"
        f"\\connect -reuse-previous=on {_connection(database)}\n"
    )


def _connection(database: str) -> str:
    """Return what psql connects with. It would read some names as more than a name: `a=b`, `postgresql://a`, `-`."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'").replace('"', '""')
    return f"\"dbname='{escaped}'\""


def _belongs(database: str, owner: str) -> str:
    """Return a block that ends the script if the database belongs to another role."""
    return do_block(f"""\
DECLARE
    other text;
BEGIN
    SELECT pg_catalog.pg_get_userbyid(datdba) INTO other FROM pg_catalog.pg_database
    WHERE datname = {quote_text(database)};
    IF other <> {quote_text(owner)} THEN
        RAISE EXCEPTION USING
            MESSAGE = pg_catalog.format('The database %I belongs to the role %I, not to %I.',
                {quote_text(database)}, other, {quote_text(owner)}),
            HINT = pg_catalog.format('Give --owner %I, or run ALTER DATABASE %I OWNER TO %I, and let its schemas '
                'and tables follow.', other, {quote_text(database)}, {quote_text(owner)});
    END IF;
END""")


def _closed(config: Config, database: str, owner: str, users: list[str]) -> Iterator[str]:
    """Yield what gives each role what it needs, and everybody else nothing."""
    where = quote_name(database)
    yield "-- who is in"
    yield f"GRANT CONNECT ON DATABASE {where} TO {', '.join(map(quote_name, [*users, config.authenticator_role]))}"
    yield f"REVOKE CONNECT, TEMPORARY ON DATABASE {where} FROM PUBLIC"
    yield "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    for name in users:
        for role in (*config.request_roles, *(() if name == owner else WRITER_ROLES)):
            membership = RoleMembership(role=role, member=name)
            yield f"-- {membership.describe()}"
            yield from membership.create_sql()
        if name != owner:
            yield "-- policies are for requests: the writer sees all rows, as the owner does"
            yield f"ALTER ROLE {quote_name(name)} BYPASSRLS"
    for name in (*users, config.authenticator_role, *config.request_roles):
        yield f"-- limits of {name}, unless it has others"
        limits = OWNER_LIMITS if name == owner else WRITER_LIMITS if name in users else REQUEST_LIMITS
        yield _limits(name, limits)


def _told(config: Config, users: Sequence[str] = (), writer: str | None = None) -> Iterator[str]:
    """Yield what warns of roles that were there before, and may do more or less than they are meant to."""
    logins = [*users, config.authenticator_role]
    names = ", ".join(map(quote_text, (*logins, *config.request_roles)))
    is_login = f"rolname IN ({', '.join(map(quote_text, logins))})"
    powers = [(f"rol{name.lower().removesuffix('user')}", text, f"NO{name}") for name, text in DANGEROUS.items()]
    dangers = [
        *(
            (f"{column} AND rolname <> {quote_text(writer or '')}" if "bypass" in column else column, *rest)
            for column, *rest in powers
        ),
        (f"rolcanlogin AND NOT {is_login}", "can log in; a request role is only switched to", "NOLOGIN"),
        (f"NOT rolcanlogin AND {is_login}", "cannot log in", "LOGIN"),
    ]
    rows = ",\n".join(
        f"            ({is_there}, {quote_text(text)}, {quote_text(repair)})" for is_there, text, repair in dangers
    )
    yield "-- what was there before and stayed as it is, but should not be so"
    yield do_block(f"""\
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT rolname, danger.text, danger.repair
        FROM pg_catalog.pg_roles
        CROSS JOIN LATERAL (VALUES
{rows}
        ) AS danger (is_there, text, repair)
        WHERE danger.is_there AND rolname IN ({names})
        ORDER BY rolname
    LOOP
        RAISE WARNING USING MESSAGE = pg_catalog.format(
            'The role %I %s. To repair it: ALTER ROLE %I %s;', found.rolname, found.text, found.rolname, found.repair
        );
    END LOOP;
END""")


def _limits(role: str, limits: Mapping[str, str]) -> str:
    """Return a block that sets what `role` has no value of yet. Not in the database: PostgREST would not see it."""
    lines = "\n".join(
        f"""\
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c
        WHERE s.setdatabase = 0 AND s.setrole = {quote_text(quote_name(role))}::regrole
          AND pg_catalog.starts_with(c, {quote_text(f"{setting}=")})
    ) THEN
        ALTER ROLE {quote_name(role)} SET {setting} = {quote_text(value)};
    END IF;"""
        for setting, value in limits.items()
    )
    return do_block(f"BEGIN\n{lines}\nEND")
