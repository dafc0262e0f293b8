"""`manage.py pgcraft_wipe_migrations`: delete the project's numbered migration files."""

from typing import Any

from pgcraft_django.lifecycle.project import migration_files, project_folder
from pgcraft_django.lifecycle.wiping import migrations_loss, wipe_migrations
from pgcraft_django.management.base import WipingCommand


class Command(WipingCommand):
    help = (
        "Deletes the numbered migration files of the project's own apps, in development. "
        "Apps outside the project's folder and installed packages are left alone."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        files = list(migration_files())
        if not files:
            self.say(f"No app of the project under {project_folder()} has numbered migration files.", options)
            return
        self.confirm(migrations_loss(files), options)
        for sentence in wipe_migrations(files):
            self.say(sentence, options)
        self.say("Next: manage.py makemigrations", options)
