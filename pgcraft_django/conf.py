"""Typed access to the `PGCRAFT` setting.

`get_config()` is the only way the package reads it. Values are taken as they are here and judged in
`checks.py`, so that a wrong setting is a numbered check with a hint and not a traceback at import.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed


@dataclass(frozen=True)
class Config:
    """The `PGCRAFT` setting with its defaults; each key is the field's name in capitals."""

    table_schema: str = "private"
    """Schema that factory tables live in. It is never exposed."""
    api_schema: str = "api"
    """Schema that PostgREST exposes."""
    anon_role: str = "anon"
    """Role of a request without a token."""
    authenticator_role: str = "authenticator"
    """Role PostgREST logs in as."""
    roles: Sequence[str] = ("anon",)
    """Request roles: the roles that a request may switch to."""
    default_grants: Mapping[str, Any] = field(default_factory=lambda: {"anon": ["select"]})
    """Grants of an `API` that names none."""
    postgrest: Mapping[str, Any] = field(default_factory=dict)
    """PostgREST's own settings, by its own names."""
    postgrest_binary: str = ""
    """Path of the PostgREST program; empty: look for it."""

    @property
    def request_roles(self) -> tuple[str, ...]:
        """`ROLES` and `ANON_ROLE`, each once, in order of name."""
        return tuple(sorted({*self.roles, self.anon_role}))


KEYS = tuple(item.name.upper() for item in fields(Config))


@cache
def get_config() -> Config:
    """Return the `PGCRAFT` setting; unknown keys are left to the system checks."""
    declared = getattr(settings, "PGCRAFT", {})
    return Config(**{key.lower(): declared[key] for key in KEYS if key in declared})


def _reset(*, setting: str, **kwargs: Any) -> None:
    if setting == "PGCRAFT":
        get_config.cache_clear()


setting_changed.connect(_reset, dispatch_uid="pgcraft_django.conf")
