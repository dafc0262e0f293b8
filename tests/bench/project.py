"""Throw-away Django projects, run as a user runs them: by their `manage.py`, in a process of its own."""

import os
import pstats
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from pgcraft_django.embedded import Server
from pgcraft_django.naming import quote_name
from pgcraft_django.postgrest.binary import find_binary

MANAGE = """\
import os, sys
from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""


TABLES = """
SELECT format('%I.%I', schemaname, tablename)
FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""


def clean_environment() -> dict[str, str]:
    """Return our environment without what would make a child unlike a user's: no bytecode, other settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PGRST_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


class Usage(NamedTuple):
    """What a process took."""

    seconds: float
    megabytes: float
    """Its memory at the peak."""


@dataclass(frozen=True)
class Project:
    """A Django project in `folder` with one app, `shop`."""

    folder: Path
    server: Server
    database: str
    apps: Sequence[str]
    models: str
    pgcraft: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=clean_environment)

    def write(self) -> None:
        """Write its files."""
        (self.folder / "shop").mkdir(parents=True)
        (self.folder / "shop" / "__init__.py").touch()
        (self.folder / "shop" / "models.py").write_text(self.models)
        (self.folder / "manage.py").write_text(MANAGE)
        settings = {
            "SECRET_KEY": "only for the benchmark",
            "INSTALLED_APPS": list(self.apps),
            "DATABASES": {"default": self.server.database(self.database)},
            "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
            "USE_TZ": True,
            "PGCRAFT": dict(self.pgcraft),
        }
        lines = [f"{name} = {value!r}\n" for name, value in settings.items()]
        (self.folder / "settings.py").write_text("".join(lines))

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """Start `manage.py` with `arguments`."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.Popen(command, cwd=self.folder, text=True, **{"env": self.environment, **options})

    def manage(self, *arguments: str) -> Usage:
        """Run `manage.py` to its end. Raises `RuntimeError` with its output if it fails."""
        log = self.folder / "output.txt"
        with log.open("w") as output:
            began = time.perf_counter()
            process = self.start(*arguments, stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{log.read_text()}")
        unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes there, in kilobytes elsewhere
        return Usage(seconds, usage.ru_maxrss / unit)

    def count_calls(self, *arguments: str) -> int:
        """Run `manage.py` and return how many functions were called. Raises `CalledProcessError` if it fails."""
        profile = self.folder / "calls.prof"
        command = [sys.executable, "-m", "cProfile", "-o", str(profile), "manage.py", *arguments]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True, capture_output=True)
        return int(pstats.Stats(str(profile)).total_calls)  # type: ignore[attr-defined]


def connect(server: Server, database: str = "postgres") -> "psycopg.Connection[tuple[Any, ...]]":
    """Return a connection as superuser, each statement in a transaction of its own."""
    return psycopg.connect(
        host=str(server.socket_dir), port=server.port, user="postgres", dbname=database, autocommit=True
    )


def drop_database(server: Server, name: str) -> None:
    """Drop the database if it is there."""
    with connect(server) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {quote_name(name)} WITH (FORCE)")


def empty_database(server: Server, name: str) -> None:
    """Make an empty database, in the place of one of that name."""
    drop_database(server, name)
    with connect(server) as connection:
        connection.execute(f"CREATE DATABASE {quote_name(name)}")


@contextmanager
def migrated(
    server: Server, database: str, models: str, *, apps: Sequence[str] = (), by_hand: str = "", **pgcraft: Any
) -> Iterator[Project]:
    """Yield a project of `models` whose database is migrated, and has what SQL adds by hand.

    `apps` are installed beside pgcraft_django; `pgcraft` are its settings.
    """
    with tempfile.TemporaryDirectory(prefix="pgcraft-bench-") as folder:
        project = Project(
            folder=Path(folder, "project"),
            server=server,
            database=database,
            apps=["pgcraft_django", *apps, "shop"],
            models=models,
            pgcraft=pgcraft,
            # The project's folder is outside of the checkout, with its node_modules.
            environment={
                **clean_environment(),
                "PGRST_DB_PASSWORD": secrets.token_urlsafe(),
                "PGCRAFT_POSTGREST": str(find_binary()),
            },
        )
        project.write()
        empty_database(server, database)
        try:
            project.manage("makemigrations", "shop")
            project.manage("pgcraft_init")
            with connect(server, database) as connection:
                connection.execute(by_hand)
                # It would come upon one side only.
                for [table] in connection.execute(TABLES).fetchall():
                    connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
            yield project
        finally:
            drop_database(server, database)
