"""No password and no secret comes out: not into a log, an output, a file, a process list or a traceback."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.db import connections

from pgcraft_django.postgrest.binary import find_binary
from tests import settings as test_settings
from tests.support.databases import ADMINISTRATOR, run_sql, temporary_database
from tests.support.manage import ManagedProject, make_project

TALKATIVE = {"log_statement": "ddl", "log_min_error_statement": "error", "log_error_verbosity": "verbose"}
FAILING = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunSQL("SELECT nothing_like_this FROM nowhere")]
"""


def canaries() -> dict[str, str]:
    """Return the environment of somebody whose every secret would be recognised."""
    names = ("OWNER_PASSWORD", "PGRST_DB_PASSWORD", "PGRST_JWT_SECRET")
    return {name: f"canary-{secrets.token_hex(24)}" for name in names}


@pytest.fixture
def told() -> dict[str, str]:
    return canaries()


@pytest.fixture
def project_and_role(
    tmp_path: Path, unblocked: None, told: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ManagedProject, str]]:
    monkeypatch.setenv("PGCRAFT_POSTGREST", str(find_binary()))
    tag = secrets.token_hex(4)
    owner, authenticator = f"canary_owner_{tag}", f"canary_login_{tag}"
    run_sql(f"CREATE ROLE {owner} LOGIN CREATEROLE CREATEDB PASSWORD '{told['OWNER_PASSWORD']}'")
    with temporary_database(**ADMINISTRATOR) as alias:
        name = connections.settings[alias]["NAME"]
        run_sql(f"ALTER DATABASE {name} OWNER TO {owner}")
        for parameter, value in TALKATIVE.items():
            run_sql(f"ALTER DATABASE {name} SET {parameter} = '{value}'")
        project = make_project(tmp_path, name)
        entry = {**test_settings.SERVER.database(name), "USER": owner}
        roles = [f"canary_anon_{tag}", f"canary_web_{tag}"]
        pgcraft = {"AUTHENTICATOR_ROLE": authenticator, "ANON_ROLE": roles[0], "ROLES": roles, "DEFAULT_GRANTS": {}}
        project.settings(DATABASES={"default": entry}, PGCRAFT=pgcraft)
        with (project.folder / "settings.py").open("a") as file:
            file.write("\nimport os\nDATABASES['default']['PASSWORD'] = os.environ['OWNER_PASSWORD']\n")
        models = project.folder / "shop" / "models.py"
        models.write_text(models.read_text().replace('"anon"', f'"{roles[0]}"'))
        yield project, roles[1]
    run_sql(f"DROP ROLE IF EXISTS {authenticator}")
    run_sql(f"DROP ROLE IF EXISTS {', '.join(roles)}")
    run_sql(f"DROP ROLE {owner}")


def server_log() -> str:
    return (test_settings.SERVER.data_dir / "server.log").read_text(errors="replace")


def command_lines() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)


def serve(project: ManagedProject, told: dict[str, str]) -> tuple[str, str]:
    """Serve, ask, and stop; return what was printed, and the process list meanwhile."""
    kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    log = project.folder.parent / "serve.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "pgcraft_serve", "--port", "0"],
            cwd=project.folder,
            env={**kept, **told, "PYTHONPATH": str(test_settings.BASE_DIR), "PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while "Serving http" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        url = log.read_text().split("Serving ")[1].split()[0]
        assert httpx.get(f"{url}/people").json() == []
        assert httpx.get(f"{url}/people", headers={"Authorization": "Bearer a.b.c"}).status_code == 401
        running = command_lines()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    return log.read_text(), running


def test_no_secret_comes_out(project_and_role: tuple[ManagedProject, str], told: dict[str, str]) -> None:
    project, role = project_and_role
    before = len(server_log())
    said = [project.manage("makemigrations", "shop", **told)]
    said.append(project.manage("pgcraft_init", "--verbosity", "3", **told))
    said.append(project.manage("pgcraft_drift", **told))
    said.append(project.manage("pgcraft_serve", "--print-config", **told))
    printed, running = serve(project, told)
    said.append(printed)
    said.append(project.manage("pgcraft_token", "--role", role, **told))
    (project.folder / "shop" / "migrations" / "0002_failing.py").write_text(FAILING)
    said.append(project.manage("migrate", "--traceback", status=1, **told))
    wrong = {**told, "OWNER_PASSWORD": "canary-" + secrets.token_hex(24)}
    said.append(project.manage("migrate", "--traceback", status=1, **wrong))
    said.append(
        project.manage(
            "pgcraft_serve", "--port", "0", status=1, **{**told, "PGRST_DB_PASSWORD": wrong["OWNER_PASSWORD"]}
        )
    )
    log = server_log()[before:]
    assert "CREATE TABLE" in log  # it is the right log
    assert "nothing_like_this" in log
    assert "Traceback" in "".join(said)
    assert "pgcraft_serve" in running
    files = "".join(path.read_text(errors="replace") for path in project.folder.rglob("*") if path.is_file())
    for name, secret in (*told.items(), ("a wrong password", wrong["OWNER_PASSWORD"])):
        for place, text in {"log": log, "output": "".join(said), "files": files, "processes": running}.items():
            assert secret not in text, (name, place)
    for text in (log, "".join(said), files):
        assert "SCRAM-SHA-256$" not in text
