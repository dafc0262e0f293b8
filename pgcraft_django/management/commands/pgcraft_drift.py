"""`manage.py pgcraft_drift`: what the database has otherwise than the migrations made it."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from pgcraft_django.drift.comparing import Difference
from pgcraft_django.drift.detecting import find_drift
from pgcraft_django.lifecycle.database import postgresql_connection, reach
from pgcraft_django.management.base import DatabaseCommand


class Command(DatabaseCommand):
    help = (
        "Compares the database with what the migrations make in a scratch database of their own, and prints each "
        "difference with the SQL that repairs it. Changes nothing. Ends with status 1 if there is a difference."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--json", action="store_true", dest="as_json", help="Print a JSON array of differences.")

    def handle(self, *args: Any, **options: Any) -> None:
        connection = postgresql_connection(options["database"])
        reach(connection)
        found = find_drift(connection)
        if options["as_json"]:
            self.stdout.write(json.dumps([asdict(item) for item in found], indent=2, ensure_ascii=False))
        for item in () if options["as_json"] else found:
            self.stdout.write(_shown(item))
        if found:
            raise CommandError(
                f"{len(found)} {'difference' if len(found) == 1 else 'differences'} from what the migrations make."
            )
        if not options["as_json"]:
            self.say("The database is as the migrations make it.", options)


def _shown(item: Difference) -> str:
    # A comment ends with the line, and whatever a name has behind it would be SQL.
    lines = [f"-- {' '.join(item.describe().splitlines())}"]
    if item.problem == "changed":
        lines += [f"--   is         {_flat(item.found)}", f"--   should be  {_flat(item.expected)}"]
    lines.append(f"{item.repair};" if item.repair else "--   no statement repairs this by itself")
    return "\n".join(lines)


def _flat(text: str | None) -> str:
    line = " ".join((text or "").split())
    return line if len(line) <= 100 else f"{line[:97]}…"
