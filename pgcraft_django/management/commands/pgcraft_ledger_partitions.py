"""`manage.py pgcraft_ledger_partitions`: the partitions of coming periods."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError, router

from pgcraft_django.factories.ledger.partitions import (
    AHEAD,
    is_migrated,
    make_partitions,
    partitioned_ledgers,
    why_none,
)
from pgcraft_django.lifecycle.database import postgresql_connection, reach
from pgcraft_django.management.base import DatabaseCommand
from pgcraft_django.messages import command


class Command(DatabaseCommand):
    help = (
        "Makes the partitions of ledgers for this period and those to come, where they are missing. Entries that are "
        "in the default partition move to their own. It can run at any time, and several times at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--ahead", type=int, default=AHEAD, help=f"How many periods after this one; {AHEAD} unless given."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        reach(postgresql_connection(using))
        if not 0 <= options["ahead"] <= 1000:
            raise CommandError("--ahead takes a number from 0 to 1000.")
        late = []
        for model in partitioned_ledgers():
            if not is_migrated(model, using):
                if router.allow_migrate_model(using, model):
                    text = f"{model._meta.label} is not partitioned in this database so far."
                    self.warn(f"{text} Run: {command('migrate', using)}")
                continue
            try:
                made = make_partitions(model, using, options["ahead"])
            except DatabaseError as error:
                late.append(why_none(model, error))
            else:
                self.say(f"{model._meta.label}: {', '.join(made) or 'no partition was missing'}.", options)
        if late:
            raise CommandError("\n".join([*late, "Nothing is lost: run it again."]))
