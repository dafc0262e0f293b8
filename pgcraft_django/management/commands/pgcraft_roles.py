"""`manage.py pgcraft_roles`: the roles that PostgREST logs in as and switches to."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from pgcraft_django.conf import Config, get_config
from pgcraft_django.lifecycle.database import postgresql_connection, reach
from pgcraft_django.lifecycle.roles import PASSWORD_VARIABLE, ensure_roles
from pgcraft_django.lifecycle.script import database_script, roles_script
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
        parser.add_argument(
            "--owner", help="With --sql: also make this role, which migrates, and a database that is open to no others."
        )
        parser.add_argument("--writer", help="With --owner: also make this role, which Django is when it runs.")

    def handle(self, *args: Any, **options: Any) -> None:
        config = get_config()
        connection = postgresql_connection(options["database"])
        if options["sql"]:
            self.stdout.write(_script(config, connection.settings_dict["NAME"], options), ending="")
            return
        if options["owner"] or options["writer"]:
            raise CommandError("--owner and --writer are for the script that --sql prints, which a DBA runs.")
        reach(connection)
        outcome = ensure_roles(connection, config)
        for sentence in outcome.done or ["The roles are there."]:
            self.say(sentence, options)
        for sentence in outcome.warnings:
            self.warn(sentence)


def _script(config: Config, database: str, options: dict[str, Any]) -> str:
    owner, writer = options["owner"], options["writer"]
    if owner:
        return database_script(config, database, owner, writer)
    if writer:
        raise CommandError("--writer needs --owner, the role that migrates.")
    return roles_script(config, database)
