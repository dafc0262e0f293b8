"""Wiping, in two halves: say what will be lost, then lose it. Between the two somebody is asked.

The halves of the database and of the migration files are apart, so that a command can ask once about both.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from django.db.backends.base.base import BaseDatabaseWrapper

from pgcraft_django.conf import Config
from pgcraft_django.lifecycle.database import plain_errors, replace_database
from pgcraft_django.lifecycle.project import project_folder
from pgcraft_django.lifecycle.usage import drop_roles, reasons_to_keep
from pgcraft_django.naming import quote_name

TABLES_SHOWN = 20


def database_loss(connection: BaseDatabaseWrapper, beside: BaseDatabaseWrapper, config: Config) -> Iterator[str]:
    """Yield, line by line, what `wipe_database` would destroy and what it would keep."""
    name = connection.settings_dict["NAME"]
    with plain_errors("Looking at the database"), beside.cursor() as cursor:
        cursor.execute(
            "SELECT pg_catalog.pg_size_pretty(pg_catalog.pg_database_size(oid)),"
            " (SELECT count(*) FROM pg_catalog.pg_stat_activity"
            "  WHERE datid = d.oid AND backend_type = 'client backend')"
            " FROM pg_catalog.pg_database d WHERE datname = %s",
            [name],
        )
        row = cursor.fetchone()
    if row is None:
        yield f"The database {quote_name(name)} is missing and will be created, empty."
    else:
        sessions = f", {row[1]} sessions in it" if row[1] else ""
        yield f"The database {quote_name(name)} ({row[0]}{sessions}) will be dropped and created again, empty."
        yield from _tables_with_rows(connection)
        yield from _what_belongs_to_it(connection)
    for role, reason in reasons_to_keep(beside, config, name).items():
        yield f"The role {quote_name(role)} " + (f"stays: {reason}." if reason else "will be dropped.")


def _tables_with_rows(connection: BaseDatabaseWrapper) -> Iterator[str]:
    with plain_errors("Looking at the tables"), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_catalog.format('%I.%I', schemaname, relname), n_live_tup"
            " FROM pg_catalog.pg_stat_user_tables WHERE n_live_tup > 0 ORDER BY n_live_tup DESC, 1"
        )
        tables = cursor.fetchall()
    if tables:
        yield "Rows that will be lost:"
    for table, count in tables[:TABLES_SHOWN]:
        yield f"  {table}: about {count}"
    if len(tables) > TABLES_SHOWN:
        yield f"  and {len(tables) - TABLES_SHOWN} smaller tables"


def _what_belongs_to_it(connection: BaseDatabaseWrapper) -> Iterator[str]:
    with plain_errors("Looking at the database"), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_catalog.concat_ws('; ',"
            " CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = d.oid)"
            "  THEN 'settings (ALTER DATABASE ... SET)' END,"
            " CASE WHEN d.datacl IS NOT NULL THEN 'privileges' END,"
            " (SELECT 'extensions: ' || pg_catalog.string_agg(extname, ', ' ORDER BY extname)"
            "  FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql'))"
            " FROM pg_catalog.pg_database d WHERE datname = pg_catalog.current_database()"
        )
        (also,) = cursor.fetchone()
    if also:
        yield f"With the database go its {also}."


def wipe_database(connection: BaseDatabaseWrapper, beside: BaseDatabaseWrapper, config: Config) -> Iterator[str]:
    """Replace the database by an empty one and drop the roles that nothing else uses; yield what was done.

    Raises `ServerError` if the server refuses; the database is then as it was.
    """
    name = connection.settings_dict["NAME"]
    reasons = reasons_to_keep(beside, config, name)
    replace_database(connection, beside)
    yield f"The database {quote_name(name)} is new and empty."
    reasons.update(drop_roles(beside, [role for role, reason in reasons.items() if reason is None]))
    for role, reason in reasons.items():
        yield f"Kept the role {quote_name(role)}: {reason}." if reason else f"Dropped the role {quote_name(role)}."


def migrations_loss(files: Sequence[Path]) -> Iterator[str]:
    """Yield, line by line, what `wipe_migrations` would delete."""
    root = project_folder()
    yield f"Migration files that will be deleted from {root}:" if files else "There are no numbered migration files."
    for path in files:
        yield f"  {path.relative_to(root)}"


def wipe_migrations(files: Sequence[Path]) -> Iterator[str]:
    """Delete the files; yield what was done."""
    for path in files:
        path.unlink(missing_ok=True)
        yield f"Deleted {path.relative_to(project_folder())}."
