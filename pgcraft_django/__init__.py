"""A safe, fast REST API and database-enforced data from Django models.

Importing this package imports nothing else: abstract models cannot be imported before Django's app registry.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcraft_django.api import API as API
    from pgcraft_django.attribution.context import history_context as history_context
    from pgcraft_django.registry import register as register
    from pgcraft_django.request_role import as_role as as_role

__all__ = ["API", "as_role", "history_context", "register"]

_HOMES = {
    "API": "pgcraft_django.api",
    "as_role": "pgcraft_django.request_role",
    "history_context": "pgcraft_django.attribution.context",
    "register": "pgcraft_django.registry",
}

if not TYPE_CHECKING:  # type checkers have the names above, and every other one is an error to them

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            from importlib import import_module

            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
