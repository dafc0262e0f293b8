"""`migrate` on a live site: one at a time, and without keeping anybody waiting.

Who alters a table waits for those who read it, and everybody who comes later waits behind. So the wait is short: after
`LOCK_TIMEOUT` the migration is taken back as a whole, and tried again a little later. Only migrations in a transaction
can be, so one with `atomic = False` waits as Django does, and so does whoever has set a `lock_timeout` already.

Who has waited has to see what the others did meanwhile: balances are worked out from all entries. So a migration is
`READ COMMITTED`, also where the project is stricter; otherwise it would go by what was there when it began.

Django notes what is applied in a transaction of its own, after that of the migration (backwards always, forwards if
there are foreign keys or indexes). Who is killed between the two could not go on: here it is one transaction.
"""

import random
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, IntegrityError, OperationalError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState

from pgcraft_django.diagnosis import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, NOT_NULL_VIOLATION, server_message, sqlstate
from pgcraft_django.errors import MigrationError, ServerError

if TYPE_CHECKING:
    from pgcraft_django.autodetector.diff import States

LOCK_TIMEOUT = "300ms"
PATIENCE = 120.0
"""Seconds until a migration that gets no lock is given up."""

# Any number will do, as long as it is always the same: the lock is one of the database's.
ADVISORY_LOCK = 0x7067637261667464  # "pgcraftd" in ASCII

LOST = (
    "Warning: this migrate was not alone, because it has lost its lock. Does DATABASES lead to a pool that gives each "
    "transaction another session, such as PgBouncer with pool_mode = transaction? The next migrate may then wait until "
    "the pool ends the session that has the lock. Run migrate on a direct connection."
)


def install() -> None:
    """Make `migrate` careful, whatever other apps have made of it."""
    commands: Any = migrate
    if not issubclass(commands.MigrationExecutor, CarefulMigrations):
        commands.MigrationExecutor = type("MigrationExecutor", (CarefulMigrations, commands.MigrationExecutor), {})
    if not hasattr(migrate.Command.handle, "pgcraft_alone"):
        migrate.Command.handle = _alone(migrate.Command.handle)  # type: ignore[method-assign]
        migrate.Command.execute = _reaching(migrate.Command.execute)  # type: ignore[method-assign]


def _alone(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Let only one `migrate` at a time work on a database: what it has to do is known when it begins."""

    @wraps(handle)
    def handle_alone(self: Any, *args: Any, **options: Any) -> Any:
        connection = connections[options.get("database") or DEFAULT_DB_ALIAS]
        if connection.vendor != "postgresql" or options.get("check_unapplied") or options.get("plan"):
            return handle(self, *args, **options)
        # Within a transaction it ends with that one, which may be aborted then.
        until_end = connection.in_atomic_block
        if not _locked(connection, until_end):
            if options.get("verbosity", 1):
                self.stdout.write(f"Waiting for another migrate to end.{_holder(connection)}")
                self.stdout.flush()  # nothing more may come
            while not _locked(connection, until_end):
                time.sleep(0.1)
        try:
            if until_end:
                return handle(self, *args, **options)
            with _leaving_transactions(connection):
                return handle(self, *args, **options)
        finally:
            if not until_end and connection.connection is not None and not connection.connection.closed:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", [ADVISORY_LOCK])
                    if not cursor.fetchone()[0]:
                        self.stderr.write(LOST)

    handle_alone.pgcraft_alone = True  # type: ignore[attr-defined]
    return handle_alone


def _locked(connection: BaseDatabaseWrapper, until_end: bool) -> bool:
    """Take the lock, if nobody has it.

    Nobody waits for it in a statement: CREATE INDEX CONCURRENTLY, in another `migrate`, would wait for that statement,
    and a `statement_timeout` or `lock_timeout` would end it.
    """
    lock = "pg_try_advisory_xact_lock" if until_end else "pg_try_advisory_lock"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_catalog.{lock}(%s)", [ADVISORY_LOCK])
        return bool(cursor.fetchone()[0])


def _holder(connection: BaseDatabaseWrapper) -> str:
    """Say whose lock it is. It may be that of a `migrate` that is gone, or of whoever likes to keep others waiting."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.pid, a.usename"  # which everybody may see
            " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.datname = current_database()"
            " AND l.database = a.datid AND (l.classid::bigint << 32) + l.objid::bigint = %s",
            [ADVISORY_LOCK],
        )
        if (found := cursor.fetchone()) is None:  # it has ended meanwhile
            return ""
    pid, user = found
    return f" It is session {pid} of {user}. If that is none: SELECT pg_terminate_backend({pid})"


def _reaching(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Connect first, or say why not as the other commands do, without a traceback: Django's checks ask the server."""

    @wraps(execute)
    def execute_there(self: Any, *args: Any, **options: Any) -> Any:
        from pgcraft_django.lifecycle.database import reach

        connection = connections[options.get("database") or DEFAULT_DB_ALIAS]
        if connection.vendor == "postgresql":
            try:
                reach(connection)
            except ServerError as error:
                raise CommandError(str(error)) from error
        return execute(self, *args, **options)

    return execute_there


class CarefulMigrations(MigrationExecutor):
    """Applies each migration as soon as nobody has to wait for it for long."""

    _made: "States | None" = None
    """What the applied migrations have made; None until somebody asks. So a long way is walked only once."""
    _undone: frozenset[str] = frozenset()
    """Apps of which this is true no longer, because migrations of them were taken back since."""

    def migrate(self, *args: Any, **options: Any) -> ProjectState:
        self._made = None  # others may have been at work since
        return super().migrate(*args, **options)

    def apply_migration(
        self, state: ProjectState, migration: Migration, fake: bool = False, fake_initial: bool = False
    ) -> ProjectState:
        apply = super().apply_migration

        def attempt(again: bool) -> ProjectState:
            return apply(self._state_so_far() if again else state, aside, fake, fake_initial)

        aside = migration if fake else self._with_objects_aside(state, migration)
        state_after = self._careful(migration, attempt) if not fake else attempt(False)
        if self._made is not None:
            from pgcraft_django.autodetector.aside import objects_made_by

            self._made = objects_made_by([migration], self._made)
        return state_after

    def unapply_migration(self, state: ProjectState, migration: Migration, fake: bool = False) -> ProjectState:
        unapply = super().unapply_migration
        aside = migration if fake else self._with_objects_aside(state, migration, backwards=True)
        self._undone |= {migration.app_label}
        try:
            # Backwards the state is not changed.
            return self._careful(migration, lambda again: unapply(state, aside, fake))
        except IntegrityError as error:
            if sqlstate(error) != NOT_NULL_VIOLATION or not migration.atomic:
                raise
            raise MigrationError(
                f"{migration} cannot be taken back, and stays applied: {server_message(error)}. If the migration has "
                "removed the column, its values are lost: instead of going back, declare again what was removed, and "
                "run makemigrations, which asks for a value. If the column is there, fill it and try again."
            ) from error

    def _with_objects_aside(self, state: ProjectState, migration: Migration, backwards: bool = False) -> Migration:
        """Return a migration from `state` on that is not stopped by objects over the columns that it changes.

        If it is no transaction, nothing is set aside: it could stop when they are gone. It is judged all the same.
        """
        from pgcraft_django.autodetector.aside import changes_columns, objects_made_by, with_objects_aside

        alias, graph = self.connection.alias, self.loader.graph
        if self.connection.vendor != "postgresql" or not changes_columns(migration):
            return migration
        if self._made is None or self._undone - {migration.app_label}:
            self._undone = frozenset()
            applied = self.recorder.applied_migrations()
            plan = (step for step, _ in self.migration_plan(graph.leaf_nodes(), clean_start=True))
            self._made = objects_made_by(step for step in plan if _is_among(step, applied))
        known = {label: items for label, items in self._made.items() if router.allow_migrate(alias, label)}
        if backwards:  # what the app itself has, its own migrations have seen to
            known.pop(migration.app_label, None)
        changed = with_objects_aside(migration, state, known, backwards=backwards) if known else migration
        return changed if migration.atomic else migration

    def _state_so_far(self) -> ProjectState:
        """Return the state that the failed attempt began with, which it has changed."""
        self.loader.build_graph()
        state: ProjectState = self._create_project_state(with_applied_migrations=True)  # type: ignore[attr-defined]
        return state

    def _careful(self, migration: Migration, attempt: Callable[[bool], ProjectState]) -> ProjectState:
        connection: BaseDatabaseWrapper = self.connection
        if connection.vendor != "postgresql" or not migration.atomic or connection.in_atomic_block:
            return attempt(False)
        deadline = time.monotonic() + PATIENCE
        with _short_waits(connection):
            try:
                with self._as_one():
                    return attempt(False)
            except OperationalError as error:
                self._judge(error, migration, deadline)
            with self._without_starts():
                while True:
                    time.sleep(random.uniform(0.3, 1.0))  # noqa: S311 - so that two do not meet again
                    try:
                        with self._as_one():
                            return attempt(True)
                    except OperationalError as error:
                        self._judge(error, migration, deadline)

    @contextmanager
    def _as_one(self) -> Iterator[None]:
        """Let the migration and the note of it be one transaction, and report success when it has ended."""
        report: Any = self.progress_callback
        successes: list[tuple[Any, ...]] = []

        def not_yet(action: str, *args: Any) -> None:
            if action.endswith("_success"):
                successes.append((action, *args))
            elif report:
                report(action, *args)

        self.progress_callback = not_yet
        try:
            with _leaving_transactions(self.connection), transaction.atomic(using=self.connection.alias):
                with self.connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
                yield
        finally:
            self.progress_callback = report
        for success in successes:
            if report:
                report(*success)

    @staticmethod
    def _judge(error: OperationalError, migration: Migration, deadline: float) -> None:
        """Raise the error, unless it is one that passes and there is time left."""
        if sqlstate(error) not in (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED):
            raise error
        if time.monotonic() > deadline:
            raise MigrationError(
                f"{migration} got no lock within {PATIENCE:.0f} seconds ({server_message(error)}). Find who holds it: "
                "SELECT pid, state, query FROM pg_stat_activity WHERE xact_start IS NOT NULL"
            ) from error

    @contextmanager
    def _without_starts(self) -> Iterator[None]:
        """Do not report again that the migration begins."""
        report: Any = self.progress_callback

        def quietly(action: str, *args: Any) -> None:
            if report and not action.endswith("_start"):
                report(action, *args)

        self.progress_callback = quietly
        try:
            yield
        finally:
            self.progress_callback = report


@contextmanager
def _leaving_transactions(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let no transaction that begins in the block go on after it failed, as if there were more to come.

    Django's schema editor forgets to leave its own if it fails in what it has put off to its end, such as foreign keys.
    """
    try:
        yield
    except BaseException as error:
        while connection.in_atomic_block:
            transaction.atomic(using=connection.alias).__exit__(type(error), error, error.__traceback__)
        raise


def _is_among(migration: Migration, applied: Container[tuple[str, str]]) -> bool:
    """Tell whether a migration is applied, or all that it replaces."""
    replaced = [name in applied for name in migration.replaces]
    return (migration.app_label, migration.name) in applied or (bool(replaced) and all(replaced))


@contextmanager
def _short_waits(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Wait for no lock longer than `LOCK_TIMEOUT`, unless somebody has said how long."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_catalog.current_setting('lock_timeout')")
        if cursor.fetchone()[0] != "0":
            yield
            return
        cursor.execute("SELECT pg_catalog.set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])
    try:
        yield
    finally:
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_catalog.set_config('lock_timeout', '0', false)")
