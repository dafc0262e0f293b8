"""Django's settings as PostgREST's configuration.

`collect()` gathers PostgREST's settings by its own names, the later winning: what follows from
Django's settings, `PGCRAFT["POSTGREST"]`, the environment (`PGRST_*`), the command line.
`to_environment()` is how a child process gets them, `to_text()` how a person reads them; between the two,
`versions.for_version()` puts them into the words of one PostgREST release.
"""

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import router

from pgcraft_django.conf import get_config
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.factories.login.objects import FUNCTION, request_schema
from pgcraft_django.lifecycle.roles import PASSWORD_VARIABLE
from pgcraft_django.messages import nearest
from pgcraft_django.postgrest.login import Login
from pgcraft_django.registry import login_models

Settings = dict[str, str | int | bool]

ALIASES = {  # older names that PostgREST still takes; one name each, so that the last one wins
    "db-schema": "db-schemas",
    "max-rows": "db-max-rows",
    "pre-request": "db-pre-request",
    "role-claim-key": "jwt-role-claim-key",
    "root-spec": "db-root-spec",
    "secret-is-base64": "jwt-secret-is-base64",
}
APP_SETTING = "app.settings."
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*|app\.settings\.[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Address:
    """Where the API listens."""

    host: str
    port: int
    unix_socket: str = ""

    @property
    def client_host(self) -> str:
        """The host to connect to: a server that listens on all addresses is reached by the local one."""
        if self.host in ("::", "*6", "!6"):
            return "::1"
        return "127.0.0.1" if self.host in ("", "0.0.0.0", "*", "*4", "!4") else self.host  # noqa: S104

    @property
    def url(self) -> str:
        """The API as a URL; for a Unix socket, a name that people understand."""
        if self.unix_socket:
            return f"unix:{self.unix_socket}"
        host = f"[{self.client_host}]" if ":" in self.client_host else self.client_host
        return f"http://{host}:{self.port}"


def collect(
    *,
    schemas: Sequence[str] | None = None,
    search_path: Sequence[str] | None = None,
    pre_request: str | None = None,
    host: str | None = None,
    port: int | None = None,
    log_level: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Return PostgREST's settings by its own names; all but `db-uri`, which is Django's database.

    `schemas` are exposed, the first of them when a request names none (default: `API_SCHEMA`). `search_path`
    are the schemas behind them (default: `schemas_behind()`), `pre_request` is the function that judges tokens.
    `host` and `port` win over every setting, `log_level` over none.
    Raises `ConfigurationError` for a name or a value that PostgREST could not take.
    """
    config = get_config()
    merged: dict[str, Any] = {
        "db-schemas": list(schemas or [config.api_schema]),
        "db-anon-role": config.anon_role,
        "db-extra-search-path": list(schemas_behind() if search_path is None else search_path),
        "db-pre-request": pre_request,
        "db-channel-enabled": True,
        "server-host": "127.0.0.1",
        "server-port": 3000,
        "log-level": log_level,
        **_declared(config.postgrest),
        **_from_environment(environ),
    }
    if host is not None or port is not None:
        merged["server-unix-socket"] = None  # which PostgREST would prefer
        merged["server-host"] = merged["server-host"] if host is None else host
        merged["server-port"] = merged["server-port"] if port is None else port
    if not merged["db-anon-role"]:
        del merged["db-anon-role"]
    return {name: _value(name, value) for name, value in merged.items() if value is not None}


def unknown(settings: Settings, known: Collection[str]) -> Iterator[tuple[str, str | None]]:
    """Yield each setting that is not among the `known` ones, with the one that was probably meant."""
    for name in settings if known else ():
        if name not in known and not name.startswith(APP_SETTING):
            yield name, nearest(name, known)


def reload_channel(environ: Mapping[str, str] = os.environ) -> str:
    """Return the channel on which PostgREST, configured by `collect()`, hears that the schema has changed.

    No other setting is judged: a wrong one is no reason for a migration to fail.
    """
    merged = {**get_config().postgrest, **_from_environment(environ)}
    return plain(merged.get("db-channel") or "pgrst")  # nothing, and an empty text, mean PostgREST's own default


def schemas_behind(table_schemas: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the schemas behind the exposed ones: `public`, and those of the tables, `TABLE_SCHEMA` among them.

    `public` is where extensions live: the operators of `citext` are found there. Through the tables' schemas
    PostgREST follows the foreign keys of a view that reads another view. Neither is exposed by it, and a
    request role without USAGE on a schema still sees nothing of it.
    """
    return tuple(dict.fromkeys(("public", get_config().table_schema, *table_schemas)))


def pre_request(using: str) -> str | None:
    """Return the function that PostgREST asks before each request, if the database `using` has logins."""
    if any(router.allow_migrate_model(using, model) for model in login_models()):
        return f"{request_schema()}.{FUNCTION}"
    return None


def schemas_of(settings: Settings) -> tuple[str, ...]:
    """Return the exposed schemas."""
    return tuple(name.strip() for name in str(settings.get("db-schemas", "")).split(",") if name.strip())


def address_of(settings: Settings) -> Address:
    """Return where the API listens. Raises `ConfigurationError` for a port that is none."""
    text = str(settings["server-port"])
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ConfigurationError(f"server-port is {text!r}; give a port number from 0 to 65535.")
    return Address(str(settings["server-host"]), int(text), str(settings.get("server-unix-socket", "")))


def to_environment(settings: Settings, login: Login, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of a PostgREST child: `environ` with this configuration and no other.

    The password goes beside the address, not into it: PostgREST can show its settings.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith("PGRST_") and name != "PGPASSWORD"}
    ours = {_variable(name): plain(value) for name, value in settings.items()}
    return {**kept, **ours, "PGRST_DB_URI": login.uri, **login.environment}


def to_text(settings: Settings, login: Login, about: str) -> str:
    """Return the configuration as a PostgREST configuration file, without its secrets."""
    lines = [f"# {line}" for line in about.splitlines()]
    lines.append(f"# The password is read from {PASSWORD_VARIABLE} and never written.")
    lines.append(f"db-uri = {quoted(login.shown_uri)}")
    for name, value in settings.items():
        if _is_secret(name, value):
            lines.append(f"# {name} is set and not shown")
        else:
            lines.append(f"{name} = {quoted(value) if isinstance(value, str) else plain(value)}")
    return "\n".join(lines)


def _declared(values: Mapping[str, Any]) -> dict[str, Any]:
    declared: dict[str, Any] = {}
    for name, value in values.items():
        if name == "db-uri":
            raise ConfigurationError(
                'PGCRAFT["POSTGREST"] has "db-uri"; remove it. PostgREST connects to the database in '
                "DATABASES, chosen by --database."
            )
        if not NAME.fullmatch(name):
            raise ConfigurationError(
                f'PGCRAFT["POSTGREST"] has {name!r}; write a setting as PostgREST does, such as "db-max-rows".'
            )
        declared[ALIASES.get(name, name)] = value
    return declared


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for variable, value in environ.items():
        if not variable.startswith("PGRST_") or variable in (PASSWORD_VARIABLE, "PGRST_DB_URI"):
            continue
        rest = variable.removeprefix("PGRST_")
        if rest.startswith("APP_SETTINGS_"):
            found[APP_SETTING + rest.removeprefix("APP_SETTINGS_")] = value
        else:
            name = rest.lower().replace("_", "-")
            found[ALIASES.get(name, name)] = value
    return found


def _value(name: str, value: Any) -> str | int | bool:
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        if bad := [item for item in value if "," in item or item != item.strip()]:
            raise ConfigurationError(
                f"{name} has {bad[0]!r}; PostgREST cannot take a comma or a space around a name here."
            )
        return ", ".join(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str | int):
        raise ConfigurationError(
            f"{name} is {type(value).__name__}; PostgREST takes text, a whole number, True or False, or a list "
            "of names."
        )
    if isinstance(value, str) and "\x00" in value:
        raise ConfigurationError(f"{name} contains a NUL character.")
    return value


def _variable(name: str) -> str:
    """Return the environment variable of a setting; PostgREST keeps the case of the project's own settings."""
    if name.startswith(APP_SETTING):
        return f"PGRST_APP_SETTINGS_{name.removeprefix(APP_SETTING)}"
    return "PGRST_" + name.upper().replace("-", "_")


def plain(value: str | int | bool) -> str:
    """Return a value as PostgREST reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def quoted(value: str) -> str:
    """Return text as a string of a PostgREST configuration file, which is also one of JSONPath."""
    return json.dumps(value, ensure_ascii=False)


def _is_secret(name: str, value: str | int | bool) -> bool:
    """The signing key, unless it is the name of a file; and whatever the project hands to its functions."""
    return name.startswith(APP_SETTING) or (name == "jwt-secret" and not str(value).startswith("@"))
