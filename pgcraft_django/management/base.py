"""What the commands share: one database, questions before something is lost, and errors as one plain message."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

from pgcraft_django.errors import PGCraftError


class PlainCommand(BaseCommand):
    """A command whose foreseeable errors end in one message and status 1."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the command's own arguments; each base adds what it is about."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except (PGCraftError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def get_check_kwargs(self, options: Any) -> Any:
        """Let checks of models ask no database: there may be none. Django's own of generated fields do from 6.0 on."""
        kwargs: dict[Any, Any] = super().get_check_kwargs(options)
        return kwargs | {"databases": []}

    def say(self, message: str, options: dict[str, Any]) -> None:
        """Print a sentence of progress, unless `--verbosity 0`."""
        if options["verbosity"]:
            self.stdout.write(message)

    def warn(self, message: str) -> None:
        """Print a warning where it is seen whatever the verbosity."""
        self.stderr.write(f"Warning: {message}", self.style.WARNING)


class DatabaseCommand(PlainCommand):
    """A command about one database."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--database",
            default=DEFAULT_DB_ALIAS,
            choices=tuple(connections),
            help='The alias in DATABASES; "default" unless given.',
        )


class LosingCommand(PlainCommand):
    """A command that can lose something, and therefore asks."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--no-input", "--noinput", action="store_false", dest="interactive", help="Do it without asking."
        )

    def confirm(self, loss: Iterable[str], options: dict[str, Any]) -> None:
        """Show what will be lost and ask, unless `--no-input`; raise `CommandError` if the answer is not yes."""
        if options["verbosity"] or options["interactive"]:
            self.stdout.write("\n".join(loss))
        if not options["interactive"]:
            return
        self.stdout.write("Type 'yes' to go on: ", ending="")
        self.stdout.flush()
        answer = sys.stdin.readline()
        if not answer:
            self.stdout.write("")
            raise CommandError("Nothing was done: there was nobody to ask. Use --no-input to do it without asking.")
        if answer.strip().lower() != "yes":
            raise CommandError("Nothing was done.")


class WipingCommand(LosingCommand):
    """A command for development only: it refuses while `DEBUG` is off. Broken models do not stop it."""

    requires_system_checks = []

    def execute(self, *args: Any, **options: Any) -> str | None:
        if not settings.DEBUG:
            raise CommandError(
                "This wipes things that development can make again, and DEBUG is off. "
                "Nothing was done. If this is a development machine, set DEBUG = True."
            )
        return super().execute(*args, **options)


def output_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that let a command called by another one write to the same place."""
    return {"stdout": options.get("stdout"), "stderr": options.get("stderr")}
