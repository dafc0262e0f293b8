"""`manage.py pgcraft_api`: query the running API."""

import os
import sys
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from pgcraft_django.management.base import PlainCommand
from pgcraft_django.postgrest import client, config

LONGEST_TIMEOUT = 86400
BROKEN_PIPE = 141  # what a shell gives a program that SIGPIPE has ended


class Command(PlainCommand):
    help = "Queries the running API, such as: pgcraft_api 'students?name=eq.Alice'"
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "path", nargs="?", default="", help="Path and query; the root, a description of the API, unless given."
        )
        parser.add_argument("-X", dest="method", help="The method; GET unless given, or POST with -d.")
        parser.add_argument("-d", dest="data", help="JSON to send; @FILE reads it from a file, - from standard input.")
        parser.add_argument(
            "-H",
            dest="headers",
            action="append",
            default=[],
            metavar="'NAME: VALUE'",
            help="A header. May be repeated.",
        )
        parser.add_argument("-i", dest="include", action="store_true", help="Print status and headers too.")
        parser.add_argument("--url", help="The URL of the API, if it is not where pgcraft_serve serves it.")
        parser.add_argument("--timeout", type=float, default=60, help="Seconds to wait; 60 unless given.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            response = self.request(options)
            self.print(response, include=options["include"])
        except KeyboardInterrupt:
            sys.exit(130)
        except BrokenPipeError:
            # Nobody reads on, as in `| head`; the interpreter's own flush at the end must not fail either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(BROKEN_PIPE)
        if response.is_error:
            raise CommandError(client.error_text(response))

    def request(self, options: dict[str, Any]) -> client.Response:
        if not 0 < options["timeout"] <= LONGEST_TIMEOUT:
            raise CommandError(f"--timeout is a number of seconds above 0 and up to {LONGEST_TIMEOUT}.")
        data = self.read(options["data"])
        headers = {} if data is None else {"Content-Type": "application/json"}
        for name, value in map(client.parse_header, options["headers"]):
            headers = {known: kept for known, kept in headers.items() if known.lower() != name.lower()}
            headers[name] = value
        return client.request(
            options["url"] or config.address_of(config.collect()),
            options["path"],
            method=options["method"] or ("GET" if data is None else "POST"),
            headers=headers,
            data=data,
            timeout=options["timeout"],
        )

    def read(self, data: str | None) -> bytes | None:
        if data == "-":
            return sys.stdin.buffer.read()
        if data is None or not data.startswith("@"):
            return None if data is None else os.fsencode(data)
        try:
            return Path(data[1:]).read_bytes()
        except OSError as error:
            raise CommandError(f"The file {data[1:]!r} cannot be read ({error.strerror}).") from None

    def print(self, response: client.Response, *, include: bool) -> None:
        """Print for people on a terminal; otherwise the bytes as they came. An error is not data."""
        head = ""
        if include:
            head = f"HTTP {response.status} {response.reason}\n"
            head += "".join(f"{name}: {value}\n" for name, value in response.headers) + "\n"
        body = b"" if response.is_error else response.body
        if self.stdout.isatty() and response.is_json and body:
            with suppress(ValueError):  # it says JSON, but is not
                body = client.pretty(body, self.style).encode() + b"\n"
        self.stdout.write(head, ending="")
        self.stdout.flush()
        if (raw := getattr(self.stdout, "buffer", None)) is not None:
            raw.write(body)
            raw.flush()
        else:
            self.stdout.write(body.decode(errors="replace"), ending="")
