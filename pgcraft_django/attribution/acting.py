"""As which role a connection acts: `as_role()` notes it, and what works in another way for a request looks here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import connections, models

Readable = Callable[[type[models.Model]], set[str]]
"""Model -> the columns that the role finds by the name of the model's table; none if that is not exposed to it."""


class _Acting(NamedTuple):
    role: str
    readable: Readable


@contextmanager
def acting(role: str, using: str, readable: Readable) -> Iterator[None]:
    """Note for the block that the connection has the rights of `role`, and what that role can read."""
    connection: Any = connections[using]
    before = _acting(using)
    connection.pgcraft_acting = _Acting(role, readable)
    try:
        yield
    finally:
        connection.pgcraft_acting = before


def acting_role(using: str) -> str | None:
    """Return the role whose rights the connection has, or None for those of Django's own database user."""
    found = _acting(using)
    return found.role if found else None


def readable_columns(model: type[models.Model], using: str) -> set[str] | None:
    """Return the columns that the connection's role can read of the model, or None for Django's own user: all."""
    found = _acting(using)
    return found.readable(model) if found else None


def _acting(using: str) -> _Acting | None:
    return getattr(connections[using], "pgcraft_acting", None)
