"""`manage.py pgcraft_drift`: what the database has otherwise than the migrations made it."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from itertools import takewhile
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
        found, expected = _apart(item.found, item.expected)
        lines += [f"--   is         {found}", f"--   should be  {expected}"]
    lines.append(f"{item.repair};" if item.repair else "--   no statement repairs this by itself")
    return "\n".join(lines)


def _apart(*texts: str | None) -> list[str]:
    """Return each text in a line, cut to where they begin to differ if that would not be seen."""
    lines = [" ".join((text or "").split()) for text in texts]
    alike = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(*lines, strict=False))))
    begin = alike - 30 if alike > 60 else 0
    parts = [f"…{line[begin:]}" if begin else line for line in lines]
    return [part if len(part) <= 100 else f"{part[:97]}…" for part in parts]
