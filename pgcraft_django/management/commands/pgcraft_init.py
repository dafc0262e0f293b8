"""`manage.py pgcraft_init`: from nothing to a migrated database, step by step, each safe to repeat."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command

from pgcraft_django.lifecycle.database import ensure_database, plain_errors, postgresql_connection
from pgcraft_django.lifecycle.samples import load_sample, sample_fixtures
from pgcraft_django.management.base import DatabaseCommand, output_of
from pgcraft_django.naming import quote_name


class Command(DatabaseCommand):
    help = "Creates the database and the roles that are missing and applies all migrations. Safe to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--sample",
            action="store_true",
            help="Also load fixtures/sample.json of each app that has one, unless there are rows already.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        connection = postgresql_connection(options["database"])
        name = quote_name(connection.settings_dict["NAME"])
        created = ensure_database(connection)
        self.say(f"Created the database {name}." if created else f"The database {name} is there.", options)
        shared = {"database": connection.alias, "verbosity": options["verbosity"], **output_of(options)}
        call_command("pgcraft_roles", **shared)
        with plain_errors("Migrating"):
            call_command("migrate", interactive=False, **shared)
        for fixture in sample_fixtures() if options["sample"] else []:
            self.say(load_sample(fixture, connection), options)
