"""`manage.py pgcraft_token`: a token for requests to the API."""

import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from pgcraft_django.logins import revoke_token
from pgcraft_django.management.base import PlainCommand
from pgcraft_django.tokens import key_set, make_token

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Return `90s`, `15m`, `1h` or `30d` as a duration."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if not found:
        raise ArgumentTypeError(f"{text!r} is no duration: write 90s, 15m, 1h or 30d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def claim(text: str) -> tuple[str, Any]:
    """Return `sub=1` as a text, and `levels:=[1, 2]` as what the JSON says."""
    name, sign, value = text.partition("=")
    if not sign or not name.rstrip(":"):
        raise ArgumentTypeError(f"{text!r} is no claim: write sub=1, or levels:=[1,2] for JSON")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except ValueError:
        raise ArgumentTypeError(f"{value!r} is no JSON") from None


class Command(PlainCommand):
    help = "Prints a token for requests to the API, signed with the secret that PostgREST checks it with."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--role", help="The request role.")
        what.add_argument(
            "--jwks", action="store_true", help="Print the public half of the private key instead, for PostgREST."
        )
        what.add_argument("--revoke", metavar="TOKEN", help="Let the API refuse this token from now on.")
        parser.add_argument(
            "--claim",
            action="append",
            type=claim,
            default=[],
            metavar="NAME=VALUE",
            help="A claim, such as sub=1, or in JSON levels:=[1,2]. May be repeated.",
        )
        parser.add_argument(
            "--expires", type=duration, default=timedelta(hours=1), help="How long it is valid: 90s, 15m, 1h, 30d."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["jwks"]:
            self.stdout.write(json.dumps(key_set()))
            return
        if options["revoke"]:
            revoke_token(options["revoke"])
            self.say("The token is refused from now on.", options)
            return
        self.stdout.write(make_token(options["role"], claims=dict(options["claim"]), expires=options["expires"]))
