"""Start, join and stop the server of a data folder; `locks` says who may, `account` under which name."""

import atexit
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg import pq

from pgcraft_django.embedded import locks, traces
from pgcraft_django.embedded.account import Account, account_for
from pgcraft_django.embedded.binaries import find_binaries
from pgcraft_django.embedded.traces import ELSEWHERE, PORT, Server
from pgcraft_django.errors import ServerError

IMPOSSIBLE_PID = 2**31 - 1
START_SECONDS, ANSWER_SECONDS, STOP_SECONDS, KILL_SECONDS = 60, 3, 30, 10
LOG = "server.log"
LOG_BYTES = 1_000_000

CONFIGURATION = """
# Settings of the embedded server; edit them as you like.
max_connections = 200
password_encryption = 'scram-sha-256'
"""
AUTHENTICATION = """\
# TYPE  DATABASE  USER      METHOD
local   all       postgres  trust
local   all       all       scram-sha-256
"""
RISKY_BUT_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


def start(
    data_dir: Path | str,
    *,
    major: int | None = None,
    durable: bool = True,
    report: Callable[[str], None] | None = None,
) -> Server:
    """Return the server of `data_dir`, created and started if it is not; stop it when its last user exits.

    `major` asks for a PostgreSQL version (default: the one that made `data_dir`, else the preferred at hand).
    `durable=False` starts it without protection from crashes, for tests. `report` gets short lines of progress.
    Raises `ServerError` with what to do, if there is no PostgreSQL, or the folder or the server is not usable.
    """
    folder, say = _resolve(data_dir), report or (lambda line: None)
    with _readable_errors(folder), locks.one_at_a_time(folder, say):
        new_lease = locks.take_lease(folder)
        try:
            _check_major(folder, major)
            return _join(folder) or _launch(folder, major, durable, say)
        except BaseException:
            if new_lease:
                with suppress(ServerError, OSError):
                    _leave(folder)
            raise


def stop(data_dir: Path | str) -> None:
    """Stop the server of `data_dir` now, whoever uses it; nothing happens if none runs.

    Raises `ServerError` if it cannot be stopped.
    """
    folder = _resolve(data_dir)
    if not (folder.exists() or locks.run_dir(folder).exists()):
        return
    with _readable_errors(folder), locks.one_at_a_time(folder):
        _shut_down(folder)
        locks.drop_lease(folder)


def _leave(folder: Path) -> None:
    """Give back this process's lease, and stop the server if it was the last one."""
    if locks.drop_lease(folder) and locks.server_lives(folder):
        _shut_down(folder)


def _leave_all() -> None:
    for folder in locks.leased():
        if locks.run_dir(folder).exists():  # else all was removed, and the server soon notices
            with suppress(ServerError, OSError), locks.one_at_a_time(folder):
                _leave(folder)


if os.name != "nt":
    atexit.register(_leave_all)


def _resolve(data_dir: Path | str) -> Path:
    if os.name == "nt":
        raise ServerError("There is no embedded PostgreSQL on Windows. Write a server of your own into DATABASES.")
    folder = Path(data_dir).resolve()
    if "\n" in str(folder) or not folder.name:
        raise ServerError(f"The embedded PostgreSQL cannot keep its data in {str(folder)!r}. {ELSEWHERE}")
    return folder


@contextmanager
def _readable_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise ServerError(
            f"The embedded PostgreSQL cannot use {folder}: {error.strerror or error}{where}. {ELSEWHERE}"
        ) from error


def _check_major(folder: Path, major: int | None) -> None:
    made_by = traces.made_by(folder)
    if made_by and major and made_by != major:
        raise ServerError(
            f"The data in {folder} was made by PostgreSQL {made_by}, but PostgreSQL {major} is asked for. "
            f"Ask for {made_by}, or remove the folder if its data is not needed. {ELSEWHERE}"
        )


# -- Start -----------------------------------------------------------------------------------------------------


def _join(folder: Path) -> Server | None:
    """Return the server that runs on `folder`, waiting while it starts, recovers or stops; None if none does."""
    began = time.monotonic()
    while True:
        server = traces.recorded(folder)
        answer = traces.ping(server) if server else pq.Ping.NO_RESPONSE
        ours = locks.server_lives(folder)
        if server and answer == pq.Ping.OK:
            # After a crash the note is still there, and anybody may have made the folder that it names.
            if ours or server.socket_dir.name == traces.socket_dir(folder).name:
                traces.check_private(server.socket_dir, folder.stat().st_uid)
            return server
        if not ours:
            return None
        waited = time.monotonic() - began
        if waited > ANSWER_SECONDS and not (server and traces.socket_of(server).exists() and traces.postmaster(folder)):
            _shut_down(folder)  # it lives, but its data or its socket was removed
            return None
        if waited > START_SECONDS:
            raise ServerError(
                f"The PostgreSQL that runs on {folder} has not answered for {START_SECONDS} seconds. "
                f"Look into {folder / LOG}, or end the process {traces.postmaster(folder)}. {ELSEWHERE}"
            )
        time.sleep(0.01)


def _launch(folder: Path, major: int | None, durable: bool, say: Callable[[str], None]) -> Server:
    made_by = traces.made_by(folder)
    try:
        binaries = find_binaries(made_by or major)
    except ServerError as error:
        if not made_by:
            raise
        raise ServerError(
            f"The data in {folder} was made by PostgreSQL {made_by}. {error} "
            "If the data is not needed, remove the folder."
        ) from error
    for leftover in locks.run_dir(folder).glob("new-*"):  # of a start that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    if not made_by:
        if traces.postmaster(folder):
            _shut_down(folder)  # its folder was removed while it ran
        _create(folder, binaries, durable, say)
    server = Server(folder, traces.socket_dir(folder), PORT, traces.made_by(folder) or 0)
    account = account_for(folder, binaries)
    traces.prepare_socket_dir(server.socket_dir, account)
    _disown_stale_pid(folder)
    say(f"starting PostgreSQL {server.major}")
    log_start = _prepare_log(folder / LOG)
    _run(server, account, binaries, durable)
    _wait_until_ready(server, log_start)
    return server


def _run(server: Server, account: Account, binaries: Path, durable: bool) -> None:
    folder, log = server.data_dir, server.data_dir / LOG
    settings = [
        "listen_addresses=",
        f"port={server.port}",
        f"unix_socket_directories={_quote_list_item(str(server.socket_dir))}",
        *(() if durable else RISKY_BUT_FAST),
    ]
    with locks.server_lock(folder) as inherited:
        options = [part for setting in settings for part in ("-c", setting)]
        # The shell lets go of the server at once, which so is nobody's child, and holds none of our pipes.
        detach = '"$@" >>"$0" 2>&1 </dev/null &'
        account.run("/bin/sh", "-c", detach, log, binaries / "postgres", "-D", folder, *options, pass_fds=(inherited,))


def _wait_until_ready(server: Server, log_start: int) -> None:
    """Return when the server answers. Raises `ServerError` with what it has logged if it ends, or takes too long."""
    folder, log = server.data_dir, server.data_dir / LOG
    began = time.monotonic()
    while traces.ping(server) != pq.Ping.OK:
        if not locks.server_lives(folder):
            problem = "did not start"
        elif time.monotonic() - began > START_SECONDS:
            problem = f"is not ready after {START_SECONDS} seconds"
        else:
            time.sleep(0.01)
            continue
        raise ServerError(
            f"PostgreSQL {server.major} {problem} on {folder}. If its data is not needed, remove the folder. "
            f"{ELSEWHERE} The end of {log}:\n{_tail(log, log_start)}"
        )


def _create(folder: Path, binaries: Path, durable: bool, say: Callable[[str], None]) -> None:
    """Make a cluster beside `folder` and move it there when it is complete."""
    say(f"creating the database cluster in {folder}")
    staging = Path(tempfile.mkdtemp(prefix="new-", dir=locks.run_dir(folder)))
    try:
        account = account_for(staging, binaries)
        initdb = (binaries / "initdb", "-D", staging)
        options = ("--username=postgres", "--encoding=UTF8", "--auth=trust", "--no-sync", "--no-instructions")
        result = account.run(*initdb, *options, "--locale=C.UTF-8")
        if "invalid locale name" in result.stdout:
            result = account.run(*initdb, *options, "--locale=C")
        if result.returncode == 0:
            with (staging / "postgresql.conf").open("a") as configuration:
                configuration.write(CONFIGURATION)
            (staging / "pg_hba.conf").write_text(AUTHENTICATION)
            if durable:
                result = account.run(*initdb, "--sync-only")
        if result.returncode:
            raise ServerError(f"{binaries / 'initdb'} could not create {folder}. {ELSEWHERE} It said:\n{result.stdout}")
        staging.replace(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _disown_stale_pid(folder: Path) -> None:
    """Keep PostgreSQL from taking a stranger, who got the process id of a crashed server, for that server.

    The note itself stays: PostgreSQL also reads there which shared memory to look at for survivors.
    """
    note = folder / "postmaster.pid"
    if note.exists() and traces.postmaster(folder) is None:
        pid, *rest = note.read_bytes().split(b"\n")
        if pid.strip().isdigit():
            note.write_bytes(b"\n".join([b"%d" % IMPOSSIBLE_PID, *rest]))
        else:
            note.unlink()


def _quote_list_item(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _prepare_log(log: Path) -> int:
    """Put a long log aside; return where the next start's lines will begin."""
    size = log.stat().st_size if log.exists() else 0
    if size > LOG_BYTES:
        log.replace(log.with_suffix(".log.old"))
        return 0
    return size


def _tail(log: Path, begin: int) -> str:
    text = log.read_bytes()[begin:].decode(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-10:]) or "(empty)"


# -- Stop ------------------------------------------------------------------------------------------------------


def _shut_down(folder: Path) -> None:
    """Stop the server and wait for its end, asking first, then insisting (which loses no data either)."""
    pid = traces.postmaster(folder)
    recorded = traces.recorded(folder)
    if pid is None:
        # A killed server's children leave by themselves.
        if not _wait(lambda: not locks.server_lives(folder), ANSWER_SECONDS):
            raise ServerError(
                f"A PostgreSQL that cannot be reached from here (in another container, or processes left over from "
                f"a crash) uses {folder}. End it there, or restart the machine. {ELSEWHERE}"
            )
        return
    for how, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, KILL_SECONDS)):
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        if _wait(lambda: not locks.server_lives(folder) and traces.postmaster(folder) is None, seconds):
            break
    else:
        raise ServerError(f"PostgreSQL (process {pid}) on {folder} does not stop. End it with `kill -9 {pid}`.")
    for socket_dir in {traces.socket_dir(folder), recorded.socket_dir if recorded else traces.socket_dir(folder)}:
        with suppress(OSError):
            socket_dir.rmdir()


def _wait(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
