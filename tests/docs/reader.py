"""Somebody who does what a page says: writes its files, types its commands, and looks whether the same comes out.

What a block means:

    python    The first line names a file: `# shop/models.py` writes it, `…, added` appends to it, `…, written by
              makemigrations` must be what is there. Or it is `# python manage.py shell`, in which the rest is typed.
    diff      The first line names a file; lines with `-` are replaced by lines with `+`.
    console   `$ command`, and below it what a terminal shows. Behind a question is what the person answers.
              A command fails exactly if an error is shown. A server stays until the next one starts. Only
              `pip install` is not typed: it needs a network.
    sql       Run in the database as its owner.
    mermaid   A picture.
    javascript  Read by Node.js, and not run: a browser would do that.

Everything runs in a folder of its own, against a PostgreSQL of its own. The API's port is not 3000 but a free one,
and read as 3000.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from pgcraft_django import embedded
from pgcraft_django.postgrest.binary import find_binary
from tests.docs.pages import PATH_LINE, ROOT, Block, commands, pattern
from tests.docs.terminal import Terminal
from tests.settings import MAJOR, SERVER

FAILURE = re.compile(r"^(?:[\w.]*Error|psql:\S+ ERROR): ", re.MULTILINE)
SERVERS = re.compile(r"pgcraft_serve(?!.*(?:--print-config|--help))|just serve|make playground")
QUESTION = re.compile(r"^(.*(?:\[y/N\]|go on:)) (\w+)$", re.MULTILINE)
SLOW_TO_IMPORT = "-p no:schemathesis"
"""A plugin for pytest that our tests alone have."""
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYENV_ROOT", "PGCRAFT_POSTGRES_BIN")
DATABASE = """
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "mysite"}}
"""


class Reader:
    """A person with an empty folder, `work`, below `root`."""

    def __init__(self, root: Path, *, with_postgresql: bool = True) -> None:
        self.root = root
        self.work = root / "work"
        self.shell = root / "shell"  # what the person has exported, and where they are
        self.server: Terminal | None = None
        self.port = free_port()
        self.work.mkdir(exist_ok=True)
        programs = root / "programs"
        if not programs.exists():
            programs.mkdir()
            if shutil.which("curl") is None:
                shutil.copy(Path(__file__).with_name("curl.py"), programs / "curl")
                (programs / "curl").chmod(0o755)
        self.environment = {name: os.environ[name] for name in INHERITED if name in os.environ} | {
            "COLUMNS": "100",
            "DJANGO_COLORS": "nocolor",
            "NO_COLOR": "1",
            "PAGER": "cat",
            "PGCRAFT_POSTGREST": str(find_binary()),
            "PGRST_SERVER_PORT": str(self.port),
            "PORT": str(self.port),
            "PYTEST_ADDOPTS": SLOW_TO_IMPORT,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "error",
            "TERM": "dumb",
        }
        psql_and_others = {embedded.find_binaries(MAJOR), embedded.find_binaries()}
        places = [programs, Path(sys.executable).parent, os.environ["PATH"], *psql_and_others]
        self.environment["PATH"] = os.pathsep.join(map(str, places))
        if with_postgresql:
            server = embedded.start(root / "cluster", major=MAJOR, durable=False)
            self.environment |= {"PGHOST": str(server.socket_dir), "PGPORT": str(server.port), "PGUSER": "postgres"}
        if self.shell.exists():  # of a reader with another server, in another folder
            theirs = [line for line in self.shell.read_text().splitlines() if not line.startswith("cd ")]
            ours = [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]
            self.shell.write_text("\n".join([*theirs, *ours, f"cd {shlex.quote(str(self.work))}", ""]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop_server()
        finally:
            embedded.stop(self.root / "cluster")
            embedded.stop(self.work / ".embedded" / "playground")

    def keep(self, place: Path) -> None:
        """Copy all that the reader has, the database included, to `place`."""
        self.stop_server()
        embedded.stop(self.root / "cluster")
        copy(self.root, place)

    # -- Beginnings ------------------------------------------------------------------------------------------------

    def take_project(self) -> None:
        """Have a Django project with an app and PostgreSQL, as many people do."""
        for command in ("django-admin startproject mysite .", "python manage.py startapp shop"):
            assert self.run(command) == (0, ""), command
        settings = self.work / "mysite" / "settings.py"
        settings.write_text(settings.read_text() + DATABASE)
        assert self.run("createdb mysite") == (0, "")

    def take_checkout(self) -> None:
        """Have a checkout of this repository, in which everything that can be downloaded has been."""
        for name in ("manage.py", "Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, self.work)
        for name in ("playground_project", "tests"):
            shutil.copytree(ROOT / name, self.work / name, ignore=shutil.ignore_patterns("__pycache__", ".env"))
        (self.work / "pgcraft_django").symlink_to(ROOT / "pgcraft_django")  # compiled already
        environment = self.work / ".venv"
        environment.mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (environment / name).symlink_to(Path(sys.prefix) / name)
        for stamp in (".playground", ".test"):
            (environment / stamp).touch()
        # All tests are too many for a page: of `make test` these run.
        self.environment["PYTEST_ADDOPTS"] += " tests/test_architecture.py -k name --maxprocesses 1"
        # Servers that run already: each command before and after the API's would start and stop one.
        embedded.start(self.work / ".embedded" / "playground", durable=False)
        (self.work / ".embedded" / "test-default").symlink_to(SERVER.data_dir)

    # -- What blocks say -------------------------------------------------------------------------------------------

    def follow(self, block: Block) -> None:
        """Do what `block` says; raise `AssertionError` if something else comes out."""
        try:
            getattr(self, f"follow_{block.language}")(block.text)
        except AssertionError as error:
            raise AssertionError(f"{block.place}: {error}") from error

    def follow_stop(self, text: str) -> None:
        self.stop_server()

    def follow_mermaid(self, text: str) -> None:
        assert re.match(r"flowchart|sequenceDiagram|erDiagram|stateDiagram-v2", text)

    def follow_javascript(self, text: str) -> None:
        checked = ["node", "--input-type=module", "--check"]
        done = subprocess.run(checked, input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def follow_sql(self, text: str) -> None:
        with psycopg.connect(
            host=self.environment["PGHOST"], port=self.environment["PGPORT"], user="postgres", dbname="mysite"
        ) as connection:
            connection.execute(text)  # type: ignore[call-overload]

    def follow_python(self, text: str) -> None:
        first, _, typed = text.partition("\n")
        if first.endswith("manage.py shell"):
            self.try_command(f"{first.removeprefix('# ')} --verbosity 0 --command {shlex.quote(typed)}", "")
            return
        path, how, content = self.file(text)
        if how == "written by makemigrations":
            self.compare(content, path.read_text())
        elif how == "added":
            path.write_text(f"{path.read_text().rstrip()}\n\n\n{content}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def follow_diff(self, text: str) -> None:
        path, _, content = self.file(text)
        lines = content.splitlines()
        old, new = ("".join(f"{line[1:]}\n" for line in lines if line[:1] != sign) for sign in "+-")
        before = path.read_text()
        assert before.count(old) == 1, f"{path} does not have exactly once:\n{old}\nbut is:\n{before}"
        path.write_text(before.replace(old, new))

    def file(self, text: str) -> tuple[Path, str, str]:
        """Return the file that the first line names, what is to be done with it, and the rest."""
        first, _, content = text.partition("\n")
        named = PATH_LINE.fullmatch(first)
        assert named, f"the first line names no file: {first}"
        return self.work / named["path"], named["how"] or "written", content.lstrip("\n")

    def follow_console(self, text: str) -> None:
        for command, shown in commands(text):
            if SERVERS.search(command) and not FAILURE.search(shown):
                self.start_server(command, shown)
            elif command.startswith("curl "):
                self.ask(command, shown)
            elif not command.startswith("pip install "):
                self.try_command(command, shown)

    # -- Commands --------------------------------------------------------------------------------------------------

    def run(self, command: str, shown: str = "") -> tuple[int, str]:
        """Type `command`, and the answers that `shown` has; return the exit status and what was printed."""
        after = f"status=$?; export -p >{self.shell}; echo \"cd '$PWD'\" >>{self.shell}; exit $status"
        terminal = self.start(f"{command}\n{after}")
        for question, answer in QUESTION.findall(shown):
            if terminal.wait_for(pattern(question).removesuffix(r"\n") + "$"):
                terminal.type(f"{answer}\n")
        status = terminal.end()
        return status, self.readable(terminal.seen)

    def start(self, command: str) -> Terminal:
        before = f". {self.shell}\n" if self.shell.exists() else ""
        return Terminal(before + command.replace(":3000", f":{self.port}"), self.work, self.environment)

    def readable(self, seen: str) -> str:
        """Return what was printed as it would be if the port were 3000."""
        return re.sub(rf"\b{self.port}\b", "3000", seen.replace(f"PGRST_SERVER_PORT={self.port} ", ""))

    def try_command(self, command: str, shown: str) -> None:
        status, seen = self.run(command, shown)
        assert bool(status) == bool(FAILURE.search(shown)), f"$ {command}\nended with {status}\n{seen}"
        self.compare(shown, seen, f"$ {command}\n")

    def ask(self, command: str, shown: str) -> None:
        """Try again for a while if the answer is another: a running server reads a changed schema a little later."""
        deadline = time.monotonic() + 20
        while True:
            try:
                return self.try_command(command, shown)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def start_server(self, command: str, shown: str) -> None:
        self.stop_server()
        self.server = self.start(f"exec {command}")
        last = shown.strip().rsplit("\n", 1)[-1]
        found = self.server.wait_for(pattern(last).replace(":3000", f":{self.port}"))
        seen = self.readable(self.server.seen)
        assert found, f"$ {command}\n{seen}"
        self.compare(f"{shown}\n…", seen, f"$ {command}\n")

    def stop_server(self) -> None:
        if self.server:
            server, self.server = self.server, None
            assert server.press_ctrl_c() in (0, 130), server.seen  # `just` says what ended it, and takes its status

    def compare(self, shown: str, seen: str, head: str = "") -> None:
        """Compare, empty lines at both ends aside."""
        actual = seen.strip("\n") + "\n"
        assert re.fullmatch(pattern(shown), actual), f"shown:\n{shown}\n\nin truth:\n{head}{actual}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def copy(root: Path, place: Path) -> None:
    """Copy a reader's root with owners and modes, without what belongs to a running server."""
    subprocess.run(["cp", "-a", root, place], check=True)
    shutil.rmtree(place / "cluster.run", ignore_errors=True)
