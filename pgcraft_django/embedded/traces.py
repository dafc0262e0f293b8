"""What can be seen of the server of a data folder: what made the data, where its socket is, whether it answers."""

import hashlib
import os
import stat
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import pq
from psycopg.conninfo import make_conninfo

from pgcraft_django.embedded.account import Account
from pgcraft_django.errors import ServerError

PORT = 5432  # only a file name in the socket's folder
LONGEST_BASE = 60  # a socket's path may have some 100 bytes; the rest is ours
ELSEWHERE = "Give embedded.start() another folder, or write a server of your own into DATABASES."


@dataclass(frozen=True)
class Server:
    """A running server; its superuser is `postgres`, without a password."""

    data_dir: Path
    socket_dir: Path
    port: int
    major: int

    def database(self, name: str) -> dict[str, Any]:
        """Return the entry of Django's `DATABASES` for the database `name` of this server."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": "postgres",
            "PASSWORD": "",
            "HOST": str(self.socket_dir),
            "PORT": str(self.port),
        }


def made_by(folder: Path) -> int | None:
    """Return the major that made the cluster in `folder`, or None if there is nothing yet."""
    try:
        return int((folder / "PG_VERSION").read_text())
    except FileNotFoundError:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return None
        reason = "is not empty, but holds no PostgreSQL data"
    except ValueError:
        reason = "holds damaged PostgreSQL data: its file PG_VERSION has no version"
    raise ServerError(f"{folder} {reason}. Remove it if nothing in it is needed. {ELSEWHERE}")


def recorded(folder: Path) -> Server | None:
    """Return the server that PostgreSQL's own note in `folder` speaks of, running or not."""
    try:
        lines = os.fsdecode((folder / "postmaster.pid").read_bytes()).split("\n")
        port, socket_dir, major = int(lines[3]), lines[4], int((folder / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError, IndexError):
        return None
    return Server(folder, Path(socket_dir), port, major) if socket_dir else None


def socket_of(server: Server) -> Path:
    """Return the path of the socket that the server listens on."""
    return server.socket_dir / f".s.PGSQL.{server.port}"


def ping(server: Server) -> pq.Ping:
    """Return what the server says to whoever knocks: that it takes connections, is starting or stopping, or nothing."""
    conninfo = make_conninfo(
        host=str(server.socket_dir), port=server.port, user="postgres", dbname="postgres", connect_timeout=2
    )
    return pq.Ping(pq.PGconn.ping(os.fsencode(conninfo)))


def postmaster(folder: Path) -> int | None:
    """Return the process id of the server of `folder`, after a look at what that process runs."""
    for note in (folder / "postmaster.pid", socket_dir(folder) / f".s.PGSQL.{PORT}.lock"):
        try:
            pid = int(note.read_bytes().split(b"\n")[0])
        except (FileNotFoundError, ValueError):
            continue
        if pid > 0 and b" -D %b " % os.fsencode(folder) in _command_line(pid):
            return pid
    return None


def _command_line(pid: int) -> bytes:
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        return b""
    ps = subprocess.run(["ps", "-ww", "-p", str(pid), "-o", "args="], capture_output=True, check=False)  # noqa: S603, S607
    return ps.stdout.replace(b"\n", b" ")


def socket_dir(folder: Path) -> Path:
    """Return a short folder that belongs to `folder` alone: a socket's path is limited, that of the data is not."""
    base = tempfile.gettempdir()
    if os.geteuid() == 0 or len(os.fsencode(base)) > LONGEST_BASE or "," in base:
        # Root's own temporary folder may be closed to the server's account; libpq takes a comma for a list.
        base = "/tmp"  # noqa: S108
    digest = hashlib.sha256(os.fsencode(f"{os.geteuid()}:{folder}")).hexdigest()
    return Path(base, f"pgcraft-{digest[:16]}")


def check_private(socket_dir: Path, *owners: int) -> os.stat_result:
    """Raise `ServerError` if somebody else could have put a socket of their own there."""
    found = socket_dir.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
        raise ServerError(
            f"{socket_dir}, where the socket of the embedded PostgreSQL goes, belongs to another user or is not "
            "a folder. Remove it, or set TMPDIR to a folder of your own."
        )
    return found


def prepare_socket_dir(socket_dir: Path, account: Account) -> None:
    """Make the folder of the socket, for the account alone. Raises `ServerError` if it is somebody else's."""
    with suppress(FileExistsError):
        socket_dir.mkdir(0o700)
    found = check_private(socket_dir, os.geteuid(), account.uid)
    socket_dir.chmod(0o700)
    if found.st_uid != account.uid:
        os.chown(socket_dir, account.uid, account.gid)
    for leftover in socket_dir.glob(".s.PGSQL.*"):
        leftover.unlink()
