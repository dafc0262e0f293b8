"""As which role a connection acts: `as_role()` notes it, and what works in another way for a request looks here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections


@contextmanager
def acting(role: str, using: str) -> Iterator[None]:
    """Note for the block that the connection has the rights of `role`."""
    connection: Any = connections[using]
    before = acting_role(using)
    connection.pgcraft_role = role
    try:
        yield
    finally:
        connection.pgcraft_role = before


def acting_role(using: str) -> str | None:
    """Return the role whose rights the connection has, or None for those of Django's own database user."""
    return getattr(connections[using], "pgcraft_role", None)
