"""A little Django project of its own and a hand-written schema, served by the real PostgREST."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.postgrest.binary import find_binary
from tests.settings import SERVER
from tests.support.manage_py import run_manage_py

PASSWORD = "the authenticator's pass:word"
JWT_SECRET = "signing-key-that-is-long-enough-for-all-releases"
SECRET_KEY = "django-secret-key"


class Postgres(NamedTuple):
    """A server whose superuser needs no password and whose other roles do."""

    host: str
    port: str
    superuser: str


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    return Postgres(str(SERVER.socket_dir), str(SERVER.port), "postgres")


@pytest.fixture(scope="session")
def binary() -> Path:
    return find_binary()


class Served(NamedTuple):
    """A database with an API, and the cluster-wide roles that belong to it."""

    postgres: Postgres
    database: str
    authenticator: str
    anon: str

    def connect(self, database: str | None = None) -> "psycopg.Connection[tuple[Any, ...]]":
        host, port, user = self.postgres
        return psycopg.connect(host=host, port=port, user=user, dbname=database or self.database, autocommit=True)

    def execute(self, statement: str) -> None:
        with self.connect() as connection:
            connection.execute(statement)


SCHEMA = """
CREATE SCHEMA api;
CREATE SCHEMA private;
CREATE TABLE private.users (id integer PRIMARY KEY, name text NOT NULL, balance numeric, born date);
CREATE TABLE private.students (id integer PRIMARY KEY, name text, user_id integer REFERENCES private.users);
CREATE VIEW api.users WITH (security_invoker) AS SELECT * FROM private.users;
CREATE VIEW private.named AS SELECT * FROM private.students WHERE name IS NOT NULL;
CREATE VIEW api.students AS SELECT * FROM private.named;
CREATE FUNCTION public.hidden() RETURNS text LANGUAGE sql AS $$ SELECT 'seen' $$;
CREATE FUNCTION api.setting(name text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting(name, true) $$;
INSERT INTO private.users VALUES
    (1, 'Alice', 12345678901234567890.10, '2000-01-02'), (2, 'Zoë "Z" O''Neil (jr) 100%', NULL, NULL);
INSERT INTO private.students VALUES (1, 'Alice S', 1);
GRANT USAGE ON SCHEMA api TO {anon};
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA api TO {anon};
GRANT SELECT, INSERT ON private.users TO {anon};
"""


@pytest.fixture(scope="session")
def served(postgres: Postgres) -> Iterator[Served]:
    mark = secrets.token_hex(3)
    made = Served(postgres, f"served {mark}", f"Login {mark}", f"anon_{mark}")
    database, login, anon = quote_name(made.database), quote_name(made.authenticator), quote_name(made.anon)
    with made.connect("postgres") as maintenance:
        maintenance.execute(f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8'")
        maintenance.execute(f"CREATE ROLE {login} LOGIN NOINHERIT PASSWORD {quote_text(PASSWORD)}")
        maintenance.execute(f"CREATE ROLE {anon}")
        maintenance.execute(f"GRANT {anon} TO {login}")
        with made.connect() as connection:
            connection.execute(SCHEMA.format(anon=anon))
        yield made
        maintenance.execute(f"DROP DATABASE {database} WITH (FORCE)")
        maintenance.execute(f"DROP ROLE {login}, {anon}")


@dataclass
class Running:
    """A `manage.py pgcraft_serve` that runs, and what it has printed so far."""

    process: "subprocess.Popen[bytes]"
    log: Path
    url: str = ""

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float = 20) -> str:
        """Return the output as soon as it has `text`."""
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert time.monotonic() < deadline, f"no {text!r} in: {self.output}"
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.output}"
            time.sleep(0.02)
        return self.output

    def end(self, number: int) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(20)

    @property
    def child(self) -> int:
        """The process id of PostgREST."""
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=True
        )
        return int(listed.stdout)


@dataclass
class Project:
    """A Django project in a folder, run by its `manage.py`."""

    folder: Path
    served: Served
    binary: Path
    database: dict[str, Any] = field(default_factory=dict)
    pgcraft: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    settings: str = ""
    """Further lines of the settings."""

    def write(self) -> None:
        host, port, user = self.served.postgres
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": self.served.database,
            "HOST": host,
            "PORT": port,
            "USER": user,
            "PASSWORD": "django's own",
            **self.database,
        }
        pgcraft = {
            "AUTHENTICATOR_ROLE": self.served.authenticator,
            "ANON_ROLE": self.served.anon,
            "ROLES": [self.served.anon],
            "POSTGREST_BINARY": os.fspath(self.binary),
            "DEFAULT_GRANTS": {},
            **self.pgcraft,
        }
        (self.folder / "settings.py").write_text(
            f"SECRET_KEY = {SECRET_KEY!r}\n"
            "INSTALLED_APPS = ['pgcraft_django', 'shop']\n"
            f"DATABASES = {{'default': {database!r}, 'other': {{'ENGINE': 'django.db.backends.sqlite3'}}}}\n"
            f"PGCRAFT = {pgcraft!r}\n{self.settings}\n"
        )

    def _start(self, arguments: tuple[str, ...], **options: Any) -> "subprocess.Popen[bytes]":
        self.write()
        return subprocess.Popen(
            [sys.executable, "-W", "error", "manage.py", *arguments],
            cwd=self.folder,
            env=self._environment(),
            **options,
        )

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PGRST_", "PGCRAFT_", "DJANGO"))
        }
        return {**kept, "PGRST_DB_PASSWORD": PASSWORD, **self.environment}

    def manage(self, *arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        self.write()
        return run_manage_py(self.folder, arguments, self._environment(), answer=text)

    @contextmanager
    def serving(self, *arguments: str, line: str = "Serving ") -> Iterator[Running]:
        """Run `pgcraft_serve` for the block, which begins as soon as it has printed `line`."""
        log = self.folder / f"log_{secrets.token_hex(4)}"
        with log.open("wb") as file:
            process = self._start(("pgcraft_serve", *arguments), stdout=file, stderr=file)
        running = Running(process, log)
        try:
            said = running.wait_for(line)
            if line == "Serving ":
                running.url = said.partition("Serving ")[2].split()[0]
            yield running
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                finally:
                    process.kill()
                    process.wait()


@pytest.fixture
def project(tmp_path: Path, served: Served, binary: Path) -> Project:
    folder = tmp_path / "project"
    (folder / "shop" / "migrations").mkdir(parents=True)
    for package in ("shop", "shop/migrations"):
        (folder / package / "__init__.py").touch()
    (folder / "manage.py").write_text(
        "import os, sys\n"
        "from django.core.management import execute_from_command_line\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'settings'\n"
        "execute_from_command_line(sys.argv)\n"
    )
    return Project(folder, served, binary)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
