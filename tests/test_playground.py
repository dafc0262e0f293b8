"""The playground as a newcomer meets it: a copy of the project, its Justfile, its Makefile, a server of its own."""

import fcntl
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pgcraft_django import embedded
from pgcraft_django.naming import quote_name
from pgcraft_django.postgrest.binary import find_binary
from tests.settings import SERVER
from tests.support.databases import run_sql

ROOT = Path(__file__).resolve().parent.parent
RECIPES = [
    "api",
    "current",
    "db-shell",
    "downgrade",
    "fresh-revision",
    "graph",
    "history",
    "init",
    "migrate",
    "migrate-revision",
    "reset",
    "revision",
    "rollback",
    "serve",
    "token",
    "wipe-db",
    "wipe-migrations",
]
ALIASES = {
    "fr": "fresh-revision",
    "mr": "migrate-revision",
    "r": "reset",
    "wd": "wipe-db",
    "wm": "wipe-migrations",
}
NOWHERE = "postgresql://127.0.0.1:1/x"
"""Where no database is, for what needs none: nobody has to make a cluster and to start it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_closed(port: int) -> None:
    """Wait for the end of what listens there; fail if it outlives the command that was ended."""
    deadline = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return
        assert time.monotonic() < deadline, "a server was left behind"
        time.sleep(0.1)


class Playground:
    """A copy of the project with a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = folder / "playground_project"
        self.port = free_port()
        shutil.copytree(ROOT / "playground_project", self.app, ignore=shutil.ignore_patterns("__pycache__", ".env"))
        for name in ("manage.py", "Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        programs = Path(sys.executable).parent
        ours = ("DJANGO", "PGRST", "PGCRAFT", "DATABASE_URL", "SECRET_KEY", "DEBUG", "MAKE", "PYTEST", "MFLAGS")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)} | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PGCRAFT_POSTGREST": str(find_binary()),
            "PGRST_SERVER_PORT": str(self.port),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *command: str, answer: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.app,
            env={**self.environment, **environment},
            input=answer,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def just(self, *arguments: str, answer: str = "", **environment: str) -> str:
        done = self.run("just", *arguments, answer=answer, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, str(self.folder / "manage.py"), *arguments, **environment)

    def keep_database_running(self) -> None:
        """Let commands find it running, as while somebody serves: each would start and stop it otherwise."""
        embedded.start(self.folder / ".embedded" / "playground", durable=False)

    def get(self, path: str) -> Any:
        return httpx.get(f"http://127.0.0.1:{self.port}/{path}").json()

    def migrations(self) -> list[str]:
        return sorted(path.stem for path in (self.app / "migrations").glob("0*.py"))

    @contextmanager
    def serving(self, **environment: str) -> Iterator[str]:
        """Serve with the recipe; yield the URL."""
        with (self.folder / "serve.log").open("w+") as log:
            server = subprocess.Popen(
                ["just", "serve"], cwd=self.app, env={**self.environment, **environment}, stdout=log, stderr=log
            )
            try:
                deadline = time.monotonic() + 60
                while "Serving" not in (self.folder / "serve.log").read_text():
                    assert server.poll() is None, (self.folder / "serve.log").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
                yield f"http://127.0.0.1:{self.port}"
            finally:
                server.terminate()
                server.wait(timeout=30)
                wait_until_closed(self.port)


@contextmanager
def playground_in(parent: Path) -> Iterator[Playground]:
    folder = Path(tempfile.mkdtemp(dir=parent))
    playground = Playground(folder)
    try:
        yield playground
    finally:
        embedded.stop(folder / ".embedded" / "playground")
        shutil.rmtree(folder)


@pytest.fixture
def playground(tmp_path: Path) -> Iterator[Playground]:
    with playground_in(tmp_path) as playground:
        yield playground


# -- The Justfile ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def justfile() -> Any:
    command = [Path(sys.executable).with_name("just"), "--dump", "--dump-format", "json"]
    return json.loads(subprocess.check_output(command, cwd=ROOT / "playground_project"))


def test_every_recipe_and_alias_of_the_playground_exists(justfile: Any) -> None:
    assert sorted(name for name in justfile["recipes"] if not name.startswith("_")) == RECIPES
    assert {name: alias["target"] for name, alias in justfile["aliases"].items()} == ALIASES


def test_each_recipe_is_documented_and_a_line_or_two_of_manage_py(justfile: Any) -> None:
    for name in RECIPES:
        recipe = justfile["recipes"][name]
        assert recipe["doc"]
        assert 1 <= len(recipe["body"]) <= 2
        for line in recipe["body"]:
            assert ["variable", "manage"] in [part[0] for part in line if isinstance(part, list)]


def test_what_a_message_holds_is_never_taken_for_a_command(playground: Playground) -> None:
    done = playground.run("just", "--dry-run", "revision", "add $(touch x) `id`; 'quoted' \"names\"")
    assert done.returncode == 0
    assert done.stderr.rstrip().endswith("makemigrations --name 'add_touch_x_id_quoted_names' playground_project")
    playground.run("just", "api", "students?name=eq.$(touch injected);touch injected", DATABASE_URL=NOWHERE)
    assert not list(playground.folder.rglob("injected"))


# -- Where the database is -------------------------------------------------------------------------------------

PARSE = """
import json, os, sys
os.environ["DATABASE_URL"] = "postgresql:///unused"
from playground_project.settings import database_from_url
print(json.dumps([database_from_url(url) for url in sys.argv[1:]]))
"""


def parse(playground: Playground, urls: Sequence[str]) -> list[dict[str, Any]]:
    done = playground.run(sys.executable, "-W", "error", "-c", PARSE, *urls, PYTHONPATH=str(playground.folder))
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_all_forms_of_database_url_are_understood(playground: Playground) -> None:
    expected = {
        "postgresql+psycopg:///pgcraft": ("pgcraft", "", "", "", ""),
        "postgresql+psycopg://localhost/pgcraft": ("pgcraft", "localhost", "", "", ""),
        "postgresql+psycopg://user:password@localhost/pgcraft": ("pgcraft", "localhost", "", "user", "password"),
        "postgresql://user@localhost:5433/other": ("other", "localhost", 5433, "user", ""),
        "postgres://localhost/other": ("other", "localhost", "", "", ""),
        "postgresql+psycopg://u%40x:p%40ss%2Fw%25rd%3A%23+$HOME@h/d%20b": ("d b", "h", "", "u@x", "p@ss/w%rd:#+$HOME"),
        "postgresql+psycopg://u@%2Fvar%2Frun:5433/d": ("d", "/var/run", 5433, "u", ""),
        "postgresql+psycopg://u@[::1]:5433/d": ("d", "::1", 5433, "u", ""),
    }
    keys = ("NAME", "HOST", "PORT", "USER", "PASSWORD")
    found = [tuple(entry[key] for key in keys) for entry in parse(playground, list(expected))]
    assert found == list(expected.values())


def test_the_example_file_holds_the_three_forms_and_nothing_in_force() -> None:
    text = (ROOT / "playground_project" / ".env.example").read_text()
    assert re.findall(r"^#DATABASE_URL=(.*)$", text, re.MULTILINE) == [
        "postgresql+psycopg:///pgcraft",
        "postgresql+psycopg://localhost/pgcraft",
        "postgresql+psycopg://user:password@localhost/pgcraft",
    ]
    assert not re.search(r"^[^#\n]", text, re.MULTILINE)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///db",
        "mysql://u:Canary9@h/d",
        "Canary9",
        "postgresql://u:Canary9@h:port/d",
        "postgresql://u:Canary9@h:99999/d",
        "postgresql://u:Canary9@h",
        "postgresql+psycopg:/d",
    ],
)
def test_another_url_ends_in_a_message_that_shows_the_forms_and_not_the_url(playground: Playground, url: str) -> None:
    done = playground.manage("check", DATABASE_URL=url)
    assert done.returncode == 1
    assert "DATABASE_URL is not understood" in done.stderr
    assert "postgresql+psycopg:///pgcraft" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Canary9" not in done.stdout + done.stderr


def test_a_data_folder_that_cannot_be_used_ends_in_a_message(playground: Playground) -> None:
    (playground.folder / "file").write_text("")
    done = playground.manage("check", PGCRAFT_EMBEDDED_DIR=str(playground.folder / "file"))
    assert done.returncode == 1
    assert "PGCRAFT_EMBEDDED_DIR names that folder, and DATABASE_URL a server of your own" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_url_is_used_and_no_embedded_server_is_started(playground: Playground) -> None:
    name = f"pgcraft playground {os.getpid()}"
    address = f"postgresql+psycopg://postgres@{str(SERVER.socket_dir).replace('/', '%2F')}:{SERVER.port}/{name}"
    with (playground.app / ".env").open("a") as file:
        file.write(f"DATABASE_URL={address.replace(' ', '%20')}\n")
    try:
        assert f'Created the database "{name}".' in playground.just("init", "--sample")
        with playground.serving():
            assert playground.get("students?select=name&order=id")[0] == {"name": "Alice"}
    finally:
        run_sql(f"DROP DATABASE IF EXISTS {quote_name(name)} WITH (FORCE)")
    assert not (playground.folder / ".embedded").exists()


# -- The secrets -----------------------------------------------------------------------------------------------


def test_secrets_are_random_private_and_made_once(playground: Playground) -> None:
    dotenv = playground.app / ".env"
    assert playground.manage("check", DATABASE_URL=NOWHERE).returncode == 0
    text = dotenv.read_text()
    made = dict(line.split("=", 1) for line in text.splitlines())
    assert set(made) == {"SECRET_KEY", "PGRST_DB_PASSWORD", "PGRST_JWT_SECRET"}
    assert all(len(value) >= 43 for value in made.values())
    assert len(set(made.values())) == 3
    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o600
    assert playground.manage("check", DATABASE_URL=NOWHERE).returncode == 0
    assert dotenv.read_text() == text
    dotenv.unlink()
    playground.manage("check", DATABASE_URL=NOWHERE)
    assert dotenv.read_text() != text


def test_a_copied_example_is_completed_and_closed_to_others(playground: Playground) -> None:
    dotenv = playground.app / ".env"
    dotenv.write_text("# mine\nexport PGRST_DB_PASSWORD=chosen")
    dotenv.chmod(0o644)
    playground.manage("check", DATABASE_URL=NOWHERE)
    lines = dotenv.read_text().splitlines()
    assert lines[:2] == ["# mine", "export PGRST_DB_PASSWORD=chosen"]
    assert [line.partition("=")[0] for line in lines[2:]] == ["SECRET_KEY", "PGRST_JWT_SECRET"]
    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o600


def test_no_secret_is_in_the_repository() -> None:
    ignored = subprocess.run(["git", "check-ignore", "playground_project/.env", ".embedded/x"], cwd=ROOT, check=False)
    assert ignored.returncode == 0


# -- The journey -----------------------------------------------------------------------------------------------


def test_the_journey_of_a_newcomer(playground: Playground) -> None:
    """Each recipe, but for those that the page about the playground takes: its test does what it says."""
    just, get = playground.just, playground.get
    playground.keep_database_running()
    just("init", "--sample")
    assert "Loaded" not in just("init", "--sample")
    assert "[X] 0001_initial" in just("current")
    assert "[X]  playground_project.0001_initial" in just("history")
    assert "Alice" in just("db-shell", answer="TABLE private.students;\n")

    with playground.serving():
        assert {"/students", "/users"} <= set(json.loads(just("api"))["paths"])
        rows = get("students?select=*,users(*)&order=id")
        assert json.loads(just("api", "students?select=*,users(*)&order=id")) == rows
        assert [row["name"] for row in rows] == ["Alice", "Bob", "Dave", "Erin"]
        assert rows[0]["users"] == {"id": 1, "name": "Alice", "email": "alice@example.org"}
        assert get("students?select=*,user:users(*)&order=id")[1]["user"]["name"] == "Bob"
        assert "password_hint" not in json.dumps(get("users"))
        assert get("products?color=eq.red&select=name,weight") == [{"name": "Pencil", "weight": 0.0125}]

        with (playground.app / "models.py").open("a") as models:
            models.write("\n\nclass Room(PGCraftSimple):\n    name = models.TextField()\n")
        just("mr", "add rooms")
        assert playground.migrations() == ["0001_initial", "0002_add_rooms"]
        just("downgrade", "0002")
        deadline = time.monotonic() + 20
        while get("playground_project_room") != []:  # the running server was told to reload
            assert time.monotonic() < deadline
            time.sleep(0.2)
        just("downgrade", "0001")
        assert "[ ] 0002_add_rooms" in just("current")
        assert len(get("students")) == 4

    just("wd", "--no-input")
    assert "relation" in playground.run("just", "db-shell", answer="TABLE private.students;\n").stderr
    just("wm", "--no-input")
    assert playground.migrations() == []
    just("fr", "from the beginning", "--no-input")
    assert playground.migrations() == ["0001_from_the_beginning"]
    just("migrate")
    just("init", "--sample")
    with playground.serving():
        assert len(get("students")) == 4
        assert get("playground_project_room") == []
    just("r", answer="yes\n")
    assert playground.migrations() == []


def test_recipes_that_lose_something_ask_first(playground: Playground) -> None:
    playground.keep_database_running()
    playground.just("init", "--sample")
    for recipe in (["rollback"], ["r"], ["wd"], ["wm"], ["fr", "message"]):
        done = playground.run("just", *recipe, answer="no\n")
        assert done.returncode == 1
        assert "Nothing was done." in done.stderr
    assert playground.migrations() == ["0001_initial"]
    assert "Dave" in playground.just("db-shell", answer="TABLE private.students;\n")


def test_the_committed_migration_is_what_the_models_need(playground: Playground) -> None:
    done = playground.manage("makemigrations", "--check", "--dry-run", DATABASE_URL=NOWHERE)
    assert "No changes detected" in done.stdout, done.stderr


# -- make ------------------------------------------------------------------------------------------------------


def test_make_help_names_every_command() -> None:
    said = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in said.splitlines()] == [
        "playground", "test", "lint", "bench", "test-matrix", "docs",
    ]  # fmt: skip


class Terminal:
    """A command at a terminal of its own, as a person starts it."""

    def __init__(self, *command: str, cwd: Path, env: dict[str, str]) -> None:
        self.master, other = os.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(other)
        self.seen = ""

    def read(self) -> bool:
        try:
            text = os.read(self.master, 10_000).decode(errors="replace")
        except OSError:  # the other side is closed
            return False
        self.seen += text
        return bool(text)

    def wait_for(self, text: str) -> None:
        while text not in self.seen:
            assert self.read(), self.seen

    def press_ctrl_c(self) -> int:
        os.write(self.master, b"\x03")
        while self.read():
            pass
        os.close(self.master)
        return self.process.wait(timeout=30)


def test_make_playground_serves_until_ctrl_c_and_keeps_the_data(playground: Playground) -> None:
    environment = playground.folder / ".venv"  # this one, with the stamp of a done installation
    environment.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (environment / name).symlink_to(Path(sys.prefix) / name)
    (environment / ".playground").touch()
    command = ("make", "playground", f"PORT={playground.port}")
    url = f"http://127.0.0.1:{playground.port}"
    for start in (1, 2):
        terminal = Terminal(*command, cwd=playground.folder, env=playground.environment)
        terminal.wait_for("press Ctrl-C")
        assert httpx.get(f"{url}/students?name=eq.Alice").json() == [{"id": 1, "name": "Alice", "user_id": 1}]
        assert ("Loaded 16 sample rows" in terminal.seen) is (start == 1)
        assert "Installing" not in terminal.seen
        for query in (
            "just api",
            "just api students",
            'just api "students?name=eq.Alice"',
            'just api "students?select=*,users(*)"',
            'just api "students?select=*,user:users(*)"',
            'just api "products?color=eq.red"',
            "just api inventory_balance",
            'just api "orders?select=id,state,users(name)"',
            f'curl -s "http://localhost:{playground.port}/students?select=*,users(*)" | python3 -m json.tool',
        ):
            assert f"{query}\r\n" in terminal.seen
        assert terminal.press_ctrl_c() == 0
        assert "***" not in terminal.seen
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
        assert not (playground.folder / ".embedded" / "playground" / "postmaster.pid").exists()
