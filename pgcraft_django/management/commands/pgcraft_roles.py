"""`manage.py pgcraft_roles`: the roles that PostgREST logs in as and switches to."""

from argparse import ArgumentParser
from typing import Any

from pgcraft_django.conf import get_config
from pgcraft_django.lifecycle.database import postgresql_connection, reach
from pgcraft_django.lifecycle.roles import PASSWORD_VARIABLE, ensure_roles, roles_script
from pgcraft_django.management.base import DatabaseCommand


class Command(DatabaseCommand):
    help = (
        "Makes the authenticator and the request roles that the setting PGCRAFT names, where they are missing. "
        f"The authenticator's password is read from the environment variable {PASSWORD_VARIABLE}."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--sql", action="store_true", help="Print the SQL for a DBA instead; no database is needed for it."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        config = get_config()
        connection = postgresql_connection(options["database"])
        if options["sql"]:
            self.stdout.write(roles_script(config, connection.settings_dict["NAME"]), ending="")
            return
        reach(connection)
        outcome = ensure_roles(connection, config)
        for sentence in outcome.done or ["The roles are there."]:
            self.say(sentence, options)
        for sentence in outcome.warnings:
            self.warn(sentence)
