"""`manage.py pgcraft_reset`: wipe the database and the migration files, to start anew."""

from itertools import chain
from typing import Any

from pgcraft_django.conf import get_config
from pgcraft_django.lifecycle.database import postgresql_connection, to_replace
from pgcraft_django.lifecycle.project import migration_files
from pgcraft_django.lifecycle.wiping import database_loss, migrations_loss, wipe_database, wipe_migrations
from pgcraft_django.management.base import DatabaseCommand, WipingCommand
from pgcraft_django.messages import command


class Command(WipingCommand, DatabaseCommand):
    help = "Does pgcraft_wipe_db and pgcraft_wipe_migrations after one question, in development."

    def handle(self, *args: Any, **options: Any) -> None:
        connection, config, files = postgresql_connection(options["database"]), get_config(), list(migration_files())
        with to_replace(connection) as beside:
            self.confirm(chain(database_loss(connection, beside, config), migrations_loss(files)), options)
            for sentence in chain(wipe_database(connection, beside, config), wipe_migrations(files)):
                self.say(sentence, options)
        line = command("pgcraft_init", connection.alias)
        self.say(f"Next: manage.py makemigrations, then {line}", options)
