"""A Python environment with the peer, and its tables in a database of ours."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pgcraft_django.embedded import Server
from tests.bench.project import drop_database, empty_database

VERSION = "0.13.3"
ENVIRONMENT = Path(__file__).resolve().parent.parent.parent / ".bench" / "peer"
PROJECT = Path(__file__).with_name("peer_project")
OLDEST = (3, 12)


def install(say: Callable[[str], None]) -> Path | None:
    """Return the Python of an environment that has the peer, made if need be; None where that cannot be."""
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / f"pgcraft-{VERSION}"
    if stamp.exists() and _is_new_enough(str(python)):
        return python
    found = next(filter(_is_new_enough, _candidates()), None)
    if found is None:
        return None
    say(f"the peer: installing pgcraft {VERSION} with {found} (once)")
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    requirements = [f"pgcraft=={VERSION}", "psycopg[binary]"]
    for command in (
        [found, "-m", "venv", str(ENVIRONMENT)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            say(f"the peer: {' '.join(command)} failed: {done.stderr.strip()}")
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            return None
    stamp.touch()
    return python


def _candidates() -> Iterator[str]:
    yield sys.executable
    for minor in range(OLDEST[1], OLDEST[1] + 3):
        yield f"python3.{minor}"
        yield from map(str, sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")))


def _is_new_enough(python: str) -> bool:
    program = f"import ensurepip, sys, venv; sys.exit(sys.version_info < {OLDEST})"
    try:
        return subprocess.run([python, "-c", program], capture_output=True).returncode == 0
    except OSError:
        return False


def migrate(server: Server, python: Path, database: str) -> None:
    """Add the peer's tables to the database. Raises `RuntimeError` with its output if it fails."""
    # Its migration is written against an empty database: what it does not know, it would drop.
    empty = f"{database}_empty"
    empty_database(server, empty)
    try:
        with tempfile.TemporaryDirectory(prefix="pgcraft-bench-") as folder:
            project = Path(folder, "project")
            shutil.copytree(PROJECT, project)
            (project / "versions").mkdir()
            urls = [
                f"postgresql+psycopg://postgres@:{server.port}/{name}?host={server.socket_dir}"
                for name in (empty, database)
            ]
            done = subprocess.run([python, "migrate.py", *urls], cwd=project, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the migration of pgcraft failed:\n{done.stderr}")
    finally:
        drop_database(server, empty)
