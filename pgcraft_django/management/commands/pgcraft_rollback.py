"""`manage.py pgcraft_rollback`: undo the migration that was applied last."""

from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.migrations.exceptions import BadMigrationError, NodeNotFoundError
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.recorder import MigrationRecorder

from pgcraft_django.lifecycle.database import plain_errors, postgresql_connection, reach
from pgcraft_django.lifecycle.project import own_apps
from pgcraft_django.management.base import DatabaseCommand, LosingCommand, output_of
from pgcraft_django.messages import command
from pgcraft_django.naming import quote_name


class Command(LosingCommand, DatabaseCommand):
    help = "Undoes the migration of the project's own apps that was applied last. What it had added is lost."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("app_label", nargs="?", help="Undo the last migration of this app; any installed app.")

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["database"]
        connection = postgresql_connection(alias)
        reach(connection)
        label, name = self._last_applied(connection, options["app_label"])
        try:
            executor = MigrationExecutor(connection)
        except (NodeNotFoundError, BadMigrationError) as error:
            raise CommandError(f"The migration files cannot be read together: {error}") from error
        node = executor.loader.graph.node_map.get((label, name))
        if node is None:
            raise CommandError(_why_not_known(executor.loader, label, name, alias))
        parents = sorted(parent.key[1] for parent in node.parents if parent.key[0] == label)
        target = parents[-1] if parents else None
        undone = [migration for migration, _ in executor.migration_plan([(label, target)])]
        for migration in undone:
            _check_reversible(migration)
        database = connection.settings_dict["NAME"]
        heading = f"To be undone in the database {quote_name(database)}, with the data in what it had added:"
        self.confirm([heading, *(f"  {migration}" for migration in undone)], options)
        with plain_errors(f"Undoing {label}.{name}"):
            call_command(
                "migrate",
                label,
                target or "zero",
                database=alias,
                verbosity=options["verbosity"],
                interactive=False,
                skip_checks=True,
                **output_of(options),
            )

    def _last_applied(self, connection: Any, label: str | None) -> tuple[str, str]:
        if label is not None and label not in {app.label for app in apps.get_app_configs()}:
            raise CommandError(f"There is no app {label!r} in INSTALLED_APPS.")
        labels = [label] if label else [app.label for app in own_apps()]
        recorder = MigrationRecorder(connection)
        rows = recorder.migration_qs.filter(app__in=labels) if recorder.has_table() else None
        last = None if rows is None else rows.order_by("-id").first()
        if last is None:
            of_whom = f"the app {label!r}" if label else "the project's own apps"
            raise CommandError(f"No migration of {of_whom} is applied: there is nothing to undo.")
        return last.app, last.name


def _why_not_known(loader: MigrationLoader, label: str, name: str, using: str) -> str:
    """Return why Django does not see the applied migration, and what to do."""
    replacing = [migration for migration in loader.replacements.values() if (label, name) in migration.replaces]
    if replacing:
        said = (
            f"{label}.{name} is applied, and {replacing[0]} replaces it, which the database has not recorded yet. "
            f"Run {command(f'migrate {label}', using)}; pgcraft_rollback then undoes {replacing[0]} as a whole."
        )
        alone = f" To undo {label}.{name} alone, take the file of {replacing[0]} away first."
        return said + (alone if (label, name) in loader.disk_migrations else "")
    return (
        f"{label}.{name} is applied, but its file is missing. Put the file back; without it nobody knows how "
        "to undo it. In development, pgcraft_reset starts anew."
    )


def _check_reversible(migration: Migration) -> None:
    for operation in migration.operations:
        if not operation.reversible:
            raise CommandError(
                f"{migration} cannot be undone: it has an operation without a way back ({operation.describe()}). "
                "Nothing was done."
            )
