"""`manage.py pgcraft_wipe_db`: an empty database in the place of the project's, and its roles cleared away."""

from typing import Any

from pgcraft_django.conf import get_config
from pgcraft_django.lifecycle.database import postgresql_connection, to_replace
from pgcraft_django.lifecycle.wiping import database_loss, wipe_database
from pgcraft_django.management.base import DatabaseCommand, WipingCommand
from pgcraft_django.messages import command


class Command(WipingCommand, DatabaseCommand):
    help = (
        "Drops the project's database and creates it again, empty, in development; also drops the roles that the "
        "setting PGCRAFT names, unless something else in the cluster uses them. Sessions in the database are ended."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        connection, config = postgresql_connection(options["database"]), get_config()
        with to_replace(connection) as beside:
            self.confirm(database_loss(connection, beside, config), options)
            for sentence in wipe_database(connection, beside, config):
                self.say(sentence, options)
        self.say(f"Next: {command('pgcraft_init', connection.alias)}", options)
