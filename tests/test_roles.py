"""`pgcraft_roles`: the roles, their password, and what never shows the password."""

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from pgcraft_django.conf import get_config
from pgcraft_django.embedded import find_binaries
from pgcraft_django.lifecycle.roles import PASSWORD_VARIABLE, ensure_roles
from pgcraft_django.naming import quote_name
from tests.settings import SERVER
from tests.support.databases import ADMINISTRATOR, administrator, new_alias, run_sql, temporary_database

CANARY = "Canary-7f3a 'pass\"word'"


class Names(NamedTuple):
    authenticator: str
    anon: str
    web: str

    @property
    def setting(self) -> dict[str, Any]:
        return {"AUTHENTICATOR_ROLE": self.authenticator, "ANON_ROLE": self.anon, "ROLES": [self.anon, self.web]}


@pytest.fixture
def names(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """Names that no other test uses, in the settings, with quotes and a capital in them."""
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    tag = f"{os.getpid()}_{time.monotonic_ns() % 10**9}"
    names = Names(f"auth {tag}", f'An"on {tag}', f"größe'{tag}")
    settings.PGCRAFT = names.setting
    yield names
    for name in names:
        run_sql(f"DROP ROLE IF EXISTS {quote_name(name)}")


@pytest.fixture(scope="module")
def shared_database() -> Iterator[str]:
    with temporary_database(**ADMINISTRATOR) as alias:
        yield alias


@pytest.fixture
def database(unblocked: None, names: Names, shared_database: str) -> str:
    """The alias of a database that tests of this module share: what they make belongs to the cluster."""
    return shared_database


@pytest.fixture
def own_database(unblocked: None, names: Names) -> Iterator[str]:
    """The alias of a database that a test may change."""
    with temporary_database(**ADMINISTRATOR) as alias:
        yield alias


def roles(alias: str, **options: Any) -> tuple[str, str]:
    """Run the command; return what it wrote to stdout and stderr."""
    stdout, stderr = StringIO(), StringIO()
    call_command("pgcraft_roles", database=alias, stdout=stdout, stderr=stderr, **options)
    return stdout.getvalue(), stderr.getvalue()


def attributes(names: Names) -> dict[str, tuple[bool, ...]]:
    with administrator() as connection:
        rows = connection.execute(
            "SELECT rolname, rolcanlogin, rolinherit, rolsuper OR rolbypassrls OR rolcreaterole OR rolreplication"
            " OR rolcreatedb FROM pg_roles WHERE rolname = ANY (%s)",
            [list(names)],
        )
        return {name: tuple(flags) for name, *flags in rows}


def memberships(names: Names) -> set[str]:
    with administrator() as connection:
        rows = connection.execute(
            "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole",
            [quote_name(names.authenticator)],
        )
        return {role.strip('"').replace('""', '"') for (role,) in rows}


def log_in(names: Names, password: str) -> None:
    with psycopg.connect(
        host=str(SERVER.socket_dir), port=SERVER.port, dbname="postgres", user=names.authenticator, password=password
    ) as connection:
        connection.execute(f"SET ROLE {quote_name(names.anon)}")


def stored_verifier(names: Names) -> str | None:
    with administrator() as connection:
        row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [names.authenticator])
        return row.fetchone()[0]


@pytest.fixture
def plain_user(names: Names) -> Iterator[dict[str, str]]:
    """A database user without any privilege of the cluster, as settings of a connection."""
    name = f"plain {os.getpid()}"
    run_sql(f"CREATE ROLE {quote_name(name)} LOGIN PASSWORD 'plain'")
    yield {"USER": name, "PASSWORD": "plain"}
    run_sql(f"DROP ROLE {quote_name(name)}")


# -- What is made ----------------------------------------------------------------------------------------------


def test_missing_roles_are_made_without_any_power(database: str, names: Names) -> None:
    said, _ = roles(database)
    assert attributes(names) == {
        names.authenticator: (True, False, False),
        names.anon: (False, False, False),
        names.web: (False, False, False),
    }
    assert memberships(names) == {names.anon, names.web}
    assert f"Created the role {names.authenticator}." in said
    assert f"Granted {names.web} to {names.authenticator}." in said


def test_the_authenticator_has_no_right_of_a_request_role_before_it_switches(database: str, names: Names) -> None:
    roles(database)
    with administrator() as connection:
        query = "SELECT pg_has_role(%s::name, %s::name, %s)"
        assert connection.execute(query, [names.authenticator, names.anon, "MEMBER"]).fetchone() == (True,)
        assert connection.execute(query, [names.authenticator, names.anon, "USAGE"]).fetchone() == (False,)


def test_running_it_again_changes_nothing(database: str, names: Names) -> None:
    roles(database)
    with administrator() as connection:
        query = "SELECT oid, rolname, rolcanlogin FROM pg_roles WHERE rolname = ANY (%s) ORDER BY 1"
        before = connection.execute(query, [list(names)]).fetchall()
        assert roles(database) == ("The roles are there.\n", "")
        assert connection.execute(query, [list(names)]).fetchall() == before


def test_verbosity_0_says_nothing(database: str, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, CANARY)
    assert roles(database, verbosity=0) == ("", "")


def test_existing_roles_keep_their_attributes_and_get_what_is_missing(database: str, names: Names) -> None:
    run_sql(f"CREATE ROLE {quote_name(names.anon)} CONNECTION LIMIT 7")
    run_sql(f"COMMENT ON ROLE {quote_name(names.anon)} IS 'of the DBA'")
    said, _ = roles(database)
    assert f"Created the role {names.anon}." not in said
    assert memberships(names) == {names.anon, names.web}
    with administrator() as connection:
        row = connection.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", [names.anon]).fetchone()
    assert row == (7,)


@pytest.mark.parametrize(
    ("who", "attribute", "mending"),
    [
        ("anon", "SUPERUSER", "NOSUPERUSER"),
        ("anon", "BYPASSRLS", "NOBYPASSRLS"),
        ("web", "CREATEROLE", "NOCREATEROLE"),
        ("web", "REPLICATION", "NOREPLICATION"),
        ("web", "LOGIN", "NOLOGIN"),
        ("authenticator", "SUPERUSER", "NOSUPERUSER"),
        ("authenticator", "BYPASSRLS", "NOBYPASSRLS"),
        ("authenticator", "NOLOGIN", "LOGIN"),
    ],
)
def test_a_dangerous_attribute_is_reported_with_its_remedy(
    database: str, names: Names, who: str, attribute: str, mending: str
) -> None:
    name = getattr(names, who)
    login = "LOGIN" if who == "authenticator" and attribute != "NOLOGIN" else ""
    run_sql(f"CREATE ROLE {quote_name(name)} NOINHERIT {login} {attribute}")
    _, warned = roles(database)
    line = next(line for line in warned.splitlines() if name in line)
    remedy = f"ALTER ROLE {quote_name(name)} {mending};"
    assert line.startswith("Warning: ")
    assert line.endswith(remedy)
    run_sql(remedy)
    _, warned = roles(database)
    assert remedy not in warned


def test_an_authenticator_that_inherits_is_reported_with_its_remedy(database: str, names: Names) -> None:
    run_sql(f"CREATE ROLE {quote_name(names.authenticator)} LOGIN INHERIT")
    _, warned = roles(database)
    lines = [line for line in warned.splitlines() if "before it switches" in line]
    assert len(lines) == 2
    for line in lines:
        run_sql(line.rpartition("To repair it: ")[2])
    assert roles(database)[1] == ""


@pytest.mark.parametrize("who", ["authenticator", "web"])
def test_a_membership_that_the_setting_does_not_name_is_reported_with_its_remedy(
    database: str, names: Names, who: str
) -> None:
    roles(database)
    member = getattr(names, who)
    run_sql(f"GRANT pg_read_all_data TO {quote_name(member)}")
    _, warned = roles(database)
    (line,) = [line for line in warned.splitlines() if "a token can name it" in line]
    assert line.startswith(f"Warning: The role {member} is a member of pg_read_all_data")
    run_sql(line.rpartition("To repair it: ")[2])
    assert "a token can name it" not in roles(database)[1]


def test_an_authenticator_that_is_a_request_role_is_refused(database: str, names: Names, settings: Any) -> None:
    settings.PGCRAFT = {**names.setting, "AUTHENTICATOR_ROLE": names.anon}
    with pytest.raises(CommandError, match="both AUTHENTICATOR_ROLE and a request role"):
        roles(database)


@pytest.mark.parametrize("key", ["AUTHENTICATOR_ROLE", "ANON_ROLE"])
def test_the_role_that_django_uses_is_refused_before_anything_is_done(
    database: str, names: Names, settings: Any, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, CANARY)
    settings.PGCRAFT = {**names.setting, key: connections[database].settings_dict["USER"]}
    with pytest.raises(CommandError, match="Django itself uses"):
        roles(database)
    with administrator() as connection:
        made = connection.execute("SELECT FROM pg_roles WHERE rolname IN (%s, %s)", [names.anon, names.web])
        assert made.fetchall() == []


def test_connect_is_granted_only_where_it_is_closed(own_database: str, names: Names) -> None:
    name = connections[own_database].settings_dict["NAME"]
    with administrator() as connection:
        acl = "SELECT datacl::text FROM pg_database WHERE datname = %s"
        roles(own_database)
        assert connection.execute(acl, [name]).fetchone() == (None,)
        connection.execute(f"REVOKE CONNECT ON DATABASE {quote_name(name)} FROM PUBLIC")
        roles(own_database)
        may = connection.execute("SELECT has_database_privilege(%s, %s, 'CONNECT')", [names.authenticator, name])
        assert may.fetchone() == (True,)


def test_many_at_once_in_two_databases_all_succeed(names: Names, unblocked: None) -> None:
    def run(alias: str) -> None:
        try:
            ensure_roles(connections[alias], get_config())
        finally:
            connections[alias].close()

    os.environ[PASSWORD_VARIABLE] = CANARY
    try:
        with temporary_database(**ADMINISTRATOR) as one, temporary_database(**ADMINISTRATOR) as other:
            for _ in range(3):
                with ThreadPoolExecutor(8) as pool:
                    list(pool.map(run, [one, other] * 8))
                log_in(names, CANARY)
                for name in names:
                    run_sql(f"DROP ROLE {quote_name(name)}")
            run(one)
    finally:
        del os.environ[PASSWORD_VARIABLE]


# -- The database user may not ---------------------------------------------------------------------------------


def test_without_createrole_the_message_names_the_sql_for_a_dba(
    unblocked: None, names: Names, plain_user: dict[str, str]
) -> None:
    with temporary_database(**plain_user) as alias:
        with pytest.raises(CommandError, match="may not create roles") as refused:
            roles(alias)
        assert "pgcraft_roles --sql" in str(refused.value)
        assert attributes(names) == {}


def test_roles_made_by_a_dba_are_enough_for_a_plain_user(
    unblocked: None, names: Names, plain_user: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with temporary_database(**ADMINISTRATOR) as alias:
        roles(alias)
    with temporary_database(**plain_user) as alias:
        assert roles(alias) == ("The roles are there.\n", "")
        monkeypatch.setenv(PASSWORD_VARIABLE, CANARY)
        _, warned = roles(alias)
    assert "may not set the password" in warned
    assert "\\password" in warned
    assert stored_verifier(names) is None


def test_createrole_is_enough(unblocked: None, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, CANARY)
    maker = f"maker {os.getpid()}"
    run_sql(f"CREATE ROLE {quote_name(maker)} LOGIN CREATEROLE PASSWORD 'maker'")
    try:
        with temporary_database(USER=maker, PASSWORD="maker") as alias:
            _, warned = roles(alias)
            assert warned == ""
            assert roles(alias)[1] == ""
        log_in(names, CANARY)
        assert memberships(names) == {names.anon, names.web}
    finally:
        run_sql(f"REASSIGN OWNED BY {quote_name(maker)} TO postgres")
        for name in names:
            run_sql(f"DROP ROLE IF EXISTS {quote_name(name)}")
        run_sql(f"DROP ROLE {quote_name(maker)}")


def test_an_unreachable_server_is_named_and_the_password_is_not(unblocked: None, names: Names) -> None:
    with temporary_database(HOST="127.0.0.1", PORT="1", USER="somebody", PASSWORD=CANARY) as alias:
        with pytest.raises(CommandError, match=r"Cannot connect to the database .* on 127.0.0.1, port 1") as refused:
            roles(alias)
        assert CANARY not in "".join(traceback.format_exception(refused.value))


def test_a_wrong_password_is_not_shown(unblocked: None, names: Names, plain_user: dict[str, str]) -> None:
    with temporary_database(USER=plain_user["USER"], PASSWORD=CANARY) as alias:
        with pytest.raises(CommandError, match="password authentication failed") as refused:
            roles(alias)
        assert CANARY not in "".join(traceback.format_exception(refused.value))


# -- The SQL for a DBA -----------------------------------------------------------------------------------------


def test_the_script_needs_no_database_and_holds_no_password(
    unblocked: None, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, CANARY)
    with temporary_database(HOST="127.0.0.1", PORT="1") as alias:
        script, warned = roles(alias, sql=True)
    assert warned == ""
    assert CANARY not in script
    assert "SCRAM" not in script
    assert f"\\password {quote_name(names.authenticator)}" in script


def test_psql_runs_the_script_twice_and_the_result_is_the_same(own_database: str, names: Names, tmp_path: Path) -> None:
    file = tmp_path / "roles.sql"
    file.write_text(roles(own_database, sql=True)[0])
    name = connections[own_database].settings_dict["NAME"]
    run_sql(f"REVOKE CONNECT ON DATABASE {quote_name(name)} FROM PUBLIC")
    arguments = ["--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--quiet", "--file", str(file), "postgres"]
    address = {"PGHOST": str(SERVER.socket_dir), "PGPORT": str(SERVER.port), "PGUSER": "postgres"}
    psql = next(path / "psql" for path in (find_binaries(), *map(Path, os.get_exec_path())) if (path / "psql").exists())
    for _ in range(2):
        done = subprocess.run(
            [str(psql), *arguments], env={**os.environ, **address}, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert roles(own_database) == ("The roles are there.\n", "")
    with psycopg.connect(host=str(SERVER.socket_dir), port=SERVER.port, user="postgres", dbname=name) as connection:
        may = connection.execute("SELECT has_database_privilege(%s, %s, 'CONNECT')", [names.authenticator, name])
        assert may.fetchone() == (True,)


# -- The password ----------------------------------------------------------------------------------------------


def test_without_the_variable_the_role_has_no_password_and_it_is_said(database: str, names: Names) -> None:
    _, warned = roles(database)
    assert stored_verifier(names) is None
    assert PASSWORD_VARIABLE in warned
    assert "pgcraft_roles" in warned


def test_the_password_of_the_variable_opens_and_a_new_one_replaces_it(
    database: str, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, CANARY)
    roles(database)
    log_in(names, CANARY)
    verifier = stored_verifier(names)
    assert verifier is not None
    assert verifier.startswith("SCRAM-SHA-256$")
    monkeypatch.setenv(PASSWORD_VARIABLE, "grün ☃ 100%")
    roles(database)
    log_in(names, "grün ☃ 100%")
    with pytest.raises(psycopg.OperationalError):
        log_in(names, CANARY)
    monkeypatch.delenv(PASSWORD_VARIABLE)
    roles(database)
    log_in(names, "grün ☃ 100%")


@pytest.fixture
def talkative(own_database: str) -> Iterator[str]:
    """A database whose sessions log every statement, parameter, duration and error."""
    name = quote_name(connections[own_database].settings_dict["NAME"])
    for parameter, value in {
        "log_statement": "all",
        "log_min_duration_statement": "0",
        "log_min_error_statement": "debug5",
        "log_min_messages": "debug1",
        "log_error_verbosity": "verbose",
        "log_parameter_max_length_on_error": "-1",
    }.items():
        run_sql(f"ALTER DATABASE {name} SET {parameter} = '{value}'")
    return own_database


def server_log() -> str:
    return (SERVER.data_dir / "server.log").read_text(errors="replace")


def test_neither_password_nor_verifier_comes_into_the_servers_log(
    talkative: str, names: Names, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.DEBUG = True  # Django, too, logs statements then
    monkeypatch.setenv(PASSWORD_VARIABLE, CANARY)
    with caplog.at_level("DEBUG"):
        said = "".join(roles(talkative, verbosity=3))
    verifier = stored_verifier(names)
    assert verifier is not None
    log = server_log()
    assert "COPY pg_temp.pgcraft_verifier FROM STDIN" in log  # it is the right log, and it is talkative
    for secret in (CANARY, CANARY.replace("'", "''"), verifier):
        assert secret not in log
        assert secret not in said
        assert secret not in caplog.text
        assert secret not in str(connections[talkative].queries)


def test_a_refused_password_comes_into_no_log_and_no_traceback(
    talkative: str, names: Names, plain_user: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    roles(talkative)
    before = len(server_log())
    monkeypatch.setenv(PASSWORD_VARIABLE, CANARY)
    with new_alias("refused", {**connections.settings[talkative], **plain_user}) as refused:
        said = "".join(roles(refused, verbosity=3))
    log = server_log()[before:]
    assert "permission denied" in log
    assert quote_name(names.authenticator) in log
    for text in (said, log):
        assert CANARY not in text
        assert "SCRAM-SHA-256$" not in text


def test_a_failing_statement_shows_no_secret(talkative: str, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    roles(talkative)
    before = len(server_log())
    monkeypatch.setenv(PASSWORD_VARIABLE, CANARY)
    monkeypatch.setattr("pgcraft_django.lifecycle.roles._dangers", lambda *_: _rename_away(names))
    try:
        with pytest.raises(CommandError, match="does not exist") as failed:
            roles(talkative, traceback=True)
    finally:
        run_sql(f"ALTER ROLE {quote_name(names.authenticator + ' gone')} RENAME TO {quote_name(names.authenticator)}")
    for text in ("".join(traceback.format_exception(failed.value)), server_log()[before:]):
        assert CANARY not in text
        assert "SCRAM-SHA-256$" not in text


def _rename_away(names: Names) -> list[str]:
    """What another session may do in this moment."""
    run_sql(f"ALTER ROLE {quote_name(names.authenticator)} RENAME TO {quote_name(names.authenticator + ' gone')}")
    return []


PROGRAM = """
import django, os, sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["pgcraft_django"],
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **eval(sys.argv[1])}},
    PGCRAFT=eval(sys.argv[2]),
)
django.setup()
from django.core.management import call_command
call_command("pgcraft_roles")
"""


def test_the_password_is_in_no_process_list_while_it_is_set(database: str, names: Names) -> None:
    roles(database)
    settings = {key: connections.settings[database][key] for key in ("NAME", "USER", "HOST", "PORT")}
    with administrator() as holder:
        holder.autocommit = False
        holder.execute(f"ALTER ROLE {quote_name(names.authenticator)} CONNECTION LIMIT 5")  # makes the command wait
        running = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, repr(settings), repr(names.setting)],
            env={**os.environ, PASSWORD_VARIABLE: CANARY},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            with administrator() as watcher:
                deadline = time.monotonic() + 30
                waiting: list[str] = []
                while not waiting:
                    assert time.monotonic() < deadline
                    assert running.poll() is None
                    time.sleep(0.05)
                    waiting = [
                        query
                        for (query,) in watcher.execute(
                            "SELECT query FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'",
                            [settings["NAME"]],
                        )
                    ]
            commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
        finally:
            holder.rollback()
            output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert "Set the password" in output
    for text in (*waiting, *(command.decode(errors="replace") for command in commands), output):
        assert CANARY not in text
        assert "SCRAM-SHA-256$" not in text
    log_in(names, CANARY)


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True
