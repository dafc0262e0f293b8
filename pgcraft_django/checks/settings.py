"""The setting `PGCRAFT`. Values are not repeated in messages where they may be secrets."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage

from pgcraft_django.checks.grants import check_grants
from pgcraft_django.checks.names import check_role, check_schema
from pgcraft_django.conf import KEYS, Config, fits, get_config
from pgcraft_django.messages import error, listed, nearest, source
from pgcraft_django.naming import DEFAULT_SCHEMA

KINDS = {str: "a string", int: "a whole number", Mapping: "a dict"}
EXAMPLES = {"POSTGREST": {"db-max-rows": 1000}, "POSTGREST_BINARY": "/usr/local/bin/postgrest"}


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with `PGCRAFT`."""
    declared = getattr(settings, "PGCRAFT", {})
    if not isinstance(declared, Mapping):
        return [
            error(
                "E001",
                f"The setting PGCRAFT is of type {type(declared).__name__}; it must be a dict.",
                hint='Write PGCRAFT = {"ROLES": ["anon"]}',
            )
        ]
    config = get_config()
    return [
        *_unknown_keys(declared),
        *_wrong_types(declared),
        *_names(config),
        *_same_schemas(config),
        *_authenticator(config),
        *_default_grants(declared, config),
    ]


def _line(key: str, value: Any) -> str:
    return f'"{key}": {source(value)}'


def _unknown_keys(declared: Mapping[Any, Any]) -> Iterator[CheckMessage]:
    for key in declared:
        if key not in KEYS:
            near = nearest(key, KEYS)
            yield error(
                "E002",
                f"PGCRAFT has the unknown key {key!r}.",
                hint=f"Write {source(near)}" if near else f"The keys are {listed(KEYS)}",
            )


def _wrong_types(declared: Mapping[Any, Any]) -> Iterator[CheckMessage]:
    for key in KEYS:
        if key not in declared or fits(key, declared[key]):
            continue
        value, default = declared[key], getattr(Config(), key.lower())
        what = next((name for kind, name in KINDS.items() if isinstance(default, kind)), "a list")
        example = EXAMPLES.get(key, default)
        if what == "a list" and isinstance(value, str):
            example = [value]
        elif key == "ANON_ROLE" and value is None:
            example = ""
        yield error(
            "E003",
            f"PGCRAFT[{source(key)}] is of type {type(value).__name__}; it must be {what}"
            + (" of strings." if what == "a list" else "."),
            hint=f"Write {_line(key, example)}",
        )


def _names(config: Config) -> Iterator[CheckMessage]:
    for key in ("TABLE_SCHEMA", "API_SCHEMA"):
        name, default = (getattr(item, key.lower()) for item in (config, Config()))
        yield from check_schema(name, line=_line(key, "{name}"), default=default)
    for key in ("ANON_ROLE", "AUTHENTICATOR_ROLE"):
        name, default = (getattr(item, key.lower()) for item in (config, Config()))
        if name or key == "AUTHENTICATOR_ROLE":  # without ANON_ROLE, requests without a token are refused
            yield from check_role(name, line=_line(key, "{name}"), default=default)
    for role in config.roles:
        others = [item for item in config.roles if item != role]
        yield from check_role(role, line=_line("ROLES", [*others, "{name}"]), default="webuser")


def _same_schemas(config: Config) -> Iterator[CheckMessage]:
    if config.api_schema == DEFAULT_SCHEMA:
        message = 'API_SCHEMA is "public", where Django\'s tables are: all of them would be exposed.'
    elif config.api_schema == config.table_schema:
        message = f"API_SCHEMA and TABLE_SCHEMA are both {config.api_schema!r}: the tables would be exposed."
    else:
        return
    default = Config()
    free = config.table_schema != default.api_schema
    line = _line("API_SCHEMA", default.api_schema) if free else _line("TABLE_SCHEMA", default.table_schema)
    yield error("E004", message, hint=f"Write {line}")


def _authenticator(config: Config) -> Iterator[CheckMessage]:
    role = config.authenticator_role
    if role not in config.request_roles:
        return
    default = Config()
    if role in config.roles and role != default.anon_role:
        line = _line("ROLES", [name for name in config.roles if name != role])
    else:
        taken = default.authenticator_role in config.request_roles
        line = _line("AUTHENTICATOR_ROLE", "postgrest_login" if taken else default.authenticator_role)
    yield error(
        "E005",
        f"The role {role!r} is both AUTHENTICATOR_ROLE and a request role: requests would keep the rights to switch.",
        hint=f"Write {line}",
    )


def _default_grants(declared: Mapping[Any, Any], config: Config) -> Iterator[CheckMessage]:
    if "DEFAULT_GRANTS" in declared:
        if fits("DEFAULT_GRANTS", declared["DEFAULT_GRANTS"]):
            yield from check_grants(config.default_grants, place='"DEFAULT_GRANTS": ')
    elif missing := config.default_grants.keys() - set(config.request_roles):
        mine = {config.anon_role: ["select"]} if config.anon_role else {}
        yield error(
            "E014",
            f"DEFAULT_GRANTS is not set and then grants to {listed(missing)}, which no request can switch to.",
            hint=f"Write {_line('DEFAULT_GRANTS', mine)}",
        )
