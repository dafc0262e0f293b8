"""PostgREST's configuration follows from Django's settings, and no secret is shown."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from django.db import connections
from pytest_django import Settings as DjangoSettings

from pgcraft_django.errors import ConfigurationError
from pgcraft_django.postgrest.config import Address, address_of, collect, schemas_of, to_environment, to_text
from pgcraft_django.postgrest.login import Login, authenticator_login
from pgcraft_django.postgrest.reload import notify_reload
from tests.support.databases import administrator, temporary_database

LOGIN = Login({"host": "db.example", "dbname": "shop", "user": "authenticator"}, "pass word")


@pytest.fixture(autouse=True)
def _defaults(settings: DjangoSettings) -> None:
    settings.PGCRAFT = {}


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Mapping[str, object]:
    """The alias `served` with what the test asks for; nobody connects to it."""
    served = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", **request.param}
    connections.settings["served"] = served
    connections.configure_settings({"default": {}, "served": served})
    yield served
    del connections.settings["served"]
    if hasattr(connections._connections, "served"):
        delattr(connections._connections, "served")


def test_the_defaults_serve_locally_what_the_settings_name(settings: DjangoSettings) -> None:
    assert collect(environ={}) == {
        "db-schemas": "api",
        "db-anon-role": "anon",
        "db-extra-search-path": "public, private",
        "db-channel-enabled": True,
        "server-host": "127.0.0.1",
        "server-port": 3000,
    }
    settings.PGCRAFT = {"API_SCHEMA": "v1", "TABLE_SCHEMA": "data", "ANON_ROLE": ""}
    found = collect(schemas=["v1", "internal"], search_path=["data"], environ={})
    assert found["db-schemas"] == "v1, internal"
    assert schemas_of(found) == ("v1", "internal")
    assert found["db-extra-search-path"] == "data"
    assert "db-anon-role" not in found


def test_the_command_line_wins_over_the_environment_and_that_over_the_settings(settings: DjangoSettings) -> None:
    settings.PGCRAFT = {
        "POSTGREST": {"server-port": 4000, "server-host": "0.0.0.0", "db-max-rows": 7, "log-level": "warn"}
    }
    assert collect(environ={})["server-port"] == 4000
    environ = {"PGRST_SERVER_PORT": "5000", "PGRST_JWT_SECRET": "x" * 32, "PGRST_DB_PASSWORD": "no", "PATH": "/bin"}
    found = collect(log_level="info", environ=environ)
    assert (found["server-port"], found["jwt-secret"], found["db-max-rows"]) == ("5000", "x" * 32, 7)
    assert found["log-level"] == "warn"
    assert "db-password" not in found
    found = collect(host="::1", port=6000, environ=environ)
    assert (found["server-host"], found["server-port"]) == ("::1", 6000)


@pytest.mark.parametrize(
    ("declared", "environ", "channel"),
    [
        ({}, {}, "pgrst"),
        ({"db-channel": "mine"}, {}, "mine"),
        ({"db-channel": "mine"}, {"PGRST_DB_CHANNEL": "theirs"}, "theirs"),
        ({"db-channel": None}, {}, "pgrst"),
        ({"db-channel": "mine"}, {"PGRST_DB_CHANNEL": ""}, "pgrst"),
    ],
)
def test_the_reload_is_told_on_the_channel_that_postgrest_is_given(
    declared: dict[str, object],
    environ: dict[str, str],
    channel: str,
    settings: DjangoSettings,
    monkeypatch: pytest.MonkeyPatch,
    unblocked: None,
) -> None:
    settings.PGCRAFT = {"POSTGREST": declared}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with temporary_database() as alias, administrator(connections[alias].settings_dict["NAME"]) as listener:
        for name in ("pgrst", "mine", "theirs"):
            listener.execute(f"LISTEN {name}")
        notify_reload(alias)
        told = [(notice.channel, notice.payload) for notice in listener.notifies(timeout=10, stop_after=1)]
    assert told == [(channel, "reload schema")]
    assert (collect().get("db-channel") or "pgrst") == channel


def test_a_host_or_port_on_the_command_line_wins_over_a_unix_socket(settings: DjangoSettings) -> None:
    settings.PGCRAFT = {"POSTGREST": {"server-unix-socket": "/run/api.sock", "server-port": 4000}}
    assert address_of(collect(environ={})).url == "unix:/run/api.sock"
    assert address_of(collect(host="::1", environ={})).url == "http://[::1]:4000"
    assert address_of(collect(port=5000, environ={})).url == "http://127.0.0.1:5000"


def test_an_older_name_of_a_setting_means_the_setting(settings: DjangoSettings) -> None:
    settings.PGCRAFT = {"POSTGREST": {"db-schema": "mine", "max-rows": 5}}
    found = collect(environ={"PGRST_DB_SCHEMA": "theirs"})
    assert (found["db-schemas"], found["db-max-rows"]) == ("theirs", 5)
    assert not {"db-schema", "max-rows"} & found.keys()


def test_python_values_become_postgrests(settings: DjangoSettings) -> None:
    settings.PGCRAFT = {
        "POSTGREST": {
            "db-plan-enabled": True,
            "db-pool": 5,
            "db-schemas": ["a", "b c"],
            "db-anon-role": None,
            "server-unix-socket": Path("/run/x.sock"),
            "app.settings.greeting": "hi",
        }
    }
    found = to_environment(collect(environ={}), LOGIN, {})
    assert found["PGRST_DB_PLAN_ENABLED"] == "true"
    assert found["PGRST_DB_POOL"] == "5"
    assert found["PGRST_DB_SCHEMAS"] == "a, b c"
    assert found["PGRST_SERVER_UNIX_SOCKET"] == "/run/x.sock"
    assert found["PGRST_APP_SETTINGS_greeting"] == "hi"
    assert "PGRST_DB_ANON_ROLE" not in found


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"db-uri": "postgresql://"}, 'has "db-uri"; remove it'),
        ({"db_max_rows": 5}, "write a setting as PostgREST does"),
        ({"PGRST_DB_MAX_ROWS": 5}, "write a setting as PostgREST does"),
        ({"db-schemas": ["a,b"]}, "comma or a space"),
        ({"db-max-rows": 1.5}, "is float"),
        ({"db-schemas": [1]}, "is list"),
        ({"jwt-aud": "a\x00b"}, "NUL"),
    ],
)
def test_what_postgrest_would_not_understand_is_refused(
    declared: dict[str, object], message: str, settings: DjangoSettings
) -> None:
    settings.PGCRAFT = {"POSTGREST": declared}
    with pytest.raises(ConfigurationError, match=message):
        collect(environ={})


@pytest.mark.parametrize("port", ["abc", "-1", "65536", "", True, "٣"])
def test_a_port_that_is_none_is_refused(port: str | bool) -> None:
    with pytest.raises(ConfigurationError, match="port number from 0 to 65535"):
        address_of({"server-host": "127.0.0.1", "server-port": port})


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (Address("127.0.0.1", 3000), "http://127.0.0.1:3000"),
        (Address("!4", 3000), "http://127.0.0.1:3000"),
        (Address("0.0.0.0", 80), "http://127.0.0.1:80"),
        (Address("::", 80), "http://[::1]:80"),
        (Address("api.example", 80), "http://api.example:80"),
        (Address("x", 80, "/run/a.sock"), "unix:/run/a.sock"),
    ],
)
def test_an_address_is_shown_as_a_client_would_use_it(address: Address, url: str) -> None:
    assert address.url == url


def test_the_child_gets_this_configuration_and_no_other(settings: DjangoSettings) -> None:
    environ = {"PATH": "/bin", "PGRST_DB_URI": "postgresql://evil", "PGRST_DB_PASSWORD": "x", "PGPASSWORD": "django's"}
    child = to_environment(collect(environ={}), LOGIN, environ)
    assert child["PATH"] == "/bin"
    assert child["PGRST_DB_URI"] == "host=db.example dbname=shop user=authenticator"
    assert child["PGPASSWORD"] == "pass word"
    assert "PGRST_DB_PASSWORD" not in child
    without = to_environment(collect(environ={}), Login(LOGIN.parameters, ""), environ)
    assert "PGPASSWORD" not in without


def test_a_printed_configuration_shows_no_secret(settings: DjangoSettings) -> None:
    settings.PGCRAFT = {"POSTGREST": {"jwt-secret": "s3cret" * 8, "app.settings.key": "s3cret"}}
    login = Login({"service": "shop", "sslpassword": "s3cret", "user": "a"}, "s3cret")
    text = to_text(collect(environ={}), login, "PostgREST 12")
    assert "s3cret" not in text
    assert "s3cret" not in repr(login)
    assert "# jwt-secret is set and not shown" in text
    assert "# app.settings.key is set and not shown" in text
    settings.PGCRAFT = {"POSTGREST": {"jwt-secret": "@/etc/key"}}
    assert 'jwt-secret = "@/etc/key"' in to_text(collect(environ={}), login, "")


def test_postgrest_reads_the_printed_file_and_the_environment_alike(
    binary: Path, tmp_path: Path, settings: DjangoSettings
) -> None:
    settings.PGCRAFT = {
        "ANON_ROLE": 'say "hi" \\ größe',
        "POSTGREST": {"db-max-rows": 9, "db-plan-enabled": True, "db-schemas": ["a", "b c"], "db-config": False},
    }
    found = collect(environ={})
    file = tmp_path / "postgrest.conf"
    file.write_text(to_text(found, LOGIN, "two\nlines"))
    kept = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}

    def dump(*arguments: object, **environment: str) -> str:
        command = [binary, "--dump-config", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    from_file = dump(file, **kept)
    assert from_file == dump(**to_environment(found, LOGIN, kept))
    assert "db-max-rows = 9" in from_file
    assert 'db-schemas = "a,b c"' in from_file
    assert "größe" in from_file


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        ({"HOST": "h1,h2", "PORT": "5432,5433"}, {"host": "h1,h2", "port": "5432,5433"}),
        ({"HOST": "/run/pg", "PORT": 5433}, {"host": "/run/pg", "port": "5433"}),
        (
            {"OPTIONS": {"sslmode": "verify-full", "connect_timeout": 3, "isolation_level": 3}},
            {"sslmode": "verify-full", "connect_timeout": "3"},
        ),
        ({"OPTIONS": {"options": '-c search_path="public",\\ "private" -c geqo=off'}}, {"options": "-c geqo=off"}),
        ({"OPTIONS": {"options": "--search_path=public"}}, {}),
        ({"OPTIONS": {"options": '-c search_path="a\\\nb" -c geqo=off'}}, {"options": "-c geqo=off"}),
        ({"USER": "django", "PASSWORD": "django's", "OPTIONS": {"pool": False, "server_side_binding": True}}, {}),
    ],
    indirect=["database"],
)
def test_the_authenticator_goes_djangos_way_but_not_in_djangos_name(
    database: Mapping[str, object], expected: dict[str, str]
) -> None:
    login = authenticator_login("served", {"PGRST_DB_PASSWORD": "pw"})
    assert login.parameters == {"dbname": "shop", "user": "authenticator", **expected}
    assert login.password == "pw"
    assert "django" not in login.uri + repr(login.environment)


@pytest.mark.parametrize("database", [{"NAME": "", "OPTIONS": {"service": "shop"}}], indirect=True)
def test_a_service_files_password_does_not_stand_in_for_the_authenticators(database: Mapping[str, object]) -> None:
    login = authenticator_login("served", {"PGRST_DB_PASSWORD": "p w"})
    assert login.uri == "service=shop user=authenticator password='p w'"
    assert login.environment == {}
    assert login.shown_uri == "service=shop user=authenticator"


@pytest.mark.parametrize(
    "database", [{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}, {"NAME": ""}], indirect=True
)
def test_a_database_that_postgrest_cannot_serve_is_refused(database: Mapping[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"is SQLite; PostgREST serves PostgreSQL|NAME"):
        authenticator_login("served", {})


def test_an_unknown_database_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=re.escape("There is no database 'nowhere' in DATABASES. There is:")):
        authenticator_login("nowhere", {})
