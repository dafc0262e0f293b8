"""`manage.py pgcraft_ledger_verify`: whether balances are what the entries add up to."""

from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError
from django.db import OperationalError, ProgrammingError, connections, models, router

from pgcraft_django.diagnosis import INSUFFICIENT_PRIVILEGE, server_message, sqlstate
from pgcraft_django.factories.ledger.model import PGCraftLedger
from pgcraft_django.factories.ledger.shape import balances_of, is_double_entry
from pgcraft_django.factories.ledger.verifying import Difference, checkpoint, verify
from pgcraft_django.lifecycle.database import postgresql_connection, reach
from pgcraft_django.management.base import DatabaseCommand
from pgcraft_django.messages import command


class Command(DatabaseCommand):
    help = (
        "Works the balances of ledgers out from their entries, and says where they differ: the status is 1 then. "
        "With double entry, debits and credits of each entry are compared too."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("ledgers", nargs="*", metavar="app.Model", help="The ledgers; all unless given.")
        parser.add_argument("--full", action="store_true", help="Begin with the first entry, not at a checkpoint.")
        parser.add_argument("--checkpoint", action="store_true", help="If all is right, begin here the next time.")

    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        reach(postgresql_connection(using))
        if options["checkpoint"] and _is_read_only(using):
            raise CommandError(
                "A checkpoint is written into the database, and this one is read-only. Leave --checkpoint out, or name "
                "the one that is written to with --database."
            )
        wrong = 0
        for model in _ledgers(options["ledgers"]):
            if not balances_of(model) and not is_double_entry(model):
                self.say(f"{model._meta.label} has no Balance and no DoubleEntry: nothing to verify.", options)
                continue
            try:
                found = self._verify(model, using, options)
            except ProgrammingError as error:
                if not options["ledgers"] and not router.allow_migrate_model(using, model):
                    self.say(f"{model._meta.label} is not in this database.", options)
                    continue
                if sqlstate(error) == INSUFFICIENT_PRIVILEGE:
                    denied = f"{model._meta.label} is not verified: {server_message(error)}."
                    raise CommandError(f"{denied} Run it as the owner of the tables.") from error
                raise CommandError(
                    f"{model._meta.label} is not migrated in this database: {server_message(error)}. "
                    f"Run: {command('migrate', using)}"
                ) from error
            for difference in found:
                self.stdout.write(f"{model._meta.label}: {difference}")
            if not found:
                self.say(f"{model._meta.label}: the balances are what the entries add up to.", options)
            wrong += len(found)
        if wrong:
            raise CommandError(f"{wrong} {'difference' if wrong == 1 else 'differences'} found.")

    def _verify(self, model: type[models.Model], using: str, options: dict[str, Any]) -> list[Difference]:
        if options["checkpoint"]:
            try:
                return checkpoint(model, using, full=options["full"])
            except OperationalError as error:
                self.warn(f"{model._meta.label} has no new checkpoint: {server_message(error)}.")
        return verify(model, using, full=options["full"])


def _is_read_only(using: str) -> bool:
    """Tell whether nothing can be written, as on a standby."""
    with connections[using].cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        [(answer,)] = cursor.fetchall()
    return bool(answer == "on")


def _ledgers(labels: list[str]) -> list[type[models.Model]]:
    known = {
        model._meta.label_lower: model
        for model in apps.get_models()
        if issubclass(model, PGCraftLedger) and not model._meta.proxy
    }
    if unknown := [label for label in labels if label.lower() not in known]:
        there = ", ".join(model._meta.label for model in known.values()) or "none"
        raise CommandError(f"There is no ledger {unknown[0]}. The ledgers are: {there}.")
    return [known[label.lower()] for label in labels] or list(known.values())
