"""Typed access to the `PGCRAFT` setting.

`get_config()` is the only way the package reads it. Values of a wrong type count as not given here and are judged
in `checks`, so that a wrong setting is a numbered check with a hint and not a traceback at import.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

OLDEST_POSTGRESQL = 15
"""The first major version with views that are `security_invoker`."""


@dataclass(frozen=True)
class Config:
    """The `PGCRAFT` setting with its defaults; each key is the field's name in capitals."""

    table_schema: str = "private"
    """Schema that factory tables live in. It is never exposed."""
    api_schema: str = "api"
    """Schema that PostgREST exposes."""
    anon_role: str = "anon"
    """Role of a request without a token; empty: such a request is refused."""
    authenticator_role: str = "authenticator"
    """Role PostgREST logs in as."""
    roles: Sequence[str] = ("anon",)
    """Request roles: the roles that a request may switch to."""
    default_grants: Mapping[str, Any] = field(default_factory=lambda: {"anon": ["select"]})
    """Grants of an `API` that names none."""
    postgrest: Mapping[str, Any] = field(default_factory=dict)
    """PostgREST's own settings, by its own names."""
    postgrest_binary: str | os.PathLike[str] = ""
    """Path of the PostgREST program; empty: look for it."""
    token_claims: str = ""
    """Path of the function that says the role and the claims of a user; empty: `logins.default_claims`."""
    token_lifetime: int = 900
    """Seconds that a token of a login is valid."""
    login_lifetime: int = 1_209_600
    """Seconds until a login has to be made anew; as `SESSION_COOKIE_AGE`, two weeks."""

    @property
    def request_roles(self) -> tuple[str, ...]:
        """`ROLES` and `ANON_ROLE`, each once, in order of name."""
        return tuple(sorted({*self.roles, self.anon_role} - {""}))


KEYS = tuple(item.name.upper() for item in fields(Config))


def is_names(value: object) -> bool:
    """Tell whether `value` is a list of names. A string is not: it would be a list of its letters."""
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def fits(key: str, value: object) -> bool:
    """Tell whether `value` is of the type that the setting `key` must have: that of its default."""
    default = getattr(Config(), key.lower())
    if isinstance(default, str):
        return isinstance(value, str) or (key == "POSTGREST_BINARY" and isinstance(value, os.PathLike))
    if isinstance(default, int):
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(default, Mapping):
        return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
    return is_names(value)


@cache
def get_config() -> Config:
    """Return the `PGCRAFT` setting; unknown keys and values of a wrong type are left to the system checks."""
    declared = getattr(settings, "PGCRAFT", {})
    if not isinstance(declared, Mapping):
        declared = {"DEFAULT_GRANTS": declared}
    values: dict[str, Any] = {"default_grants": {}} if "DEFAULT_GRANTS" in declared else {}  # wrong ones grant nothing
    values |= {key.lower(): declared[key] for key in KEYS if key in declared and fits(key, declared[key])}
    return Config(**values)


def _reset(*, setting: str, **kwargs: Any) -> None:
    if setting == "PGCRAFT":
        get_config.cache_clear()


setting_changed.connect(_reset, dispatch_uid="pgcraft_django.conf")
