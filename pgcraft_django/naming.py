"""The one place where names and values become SQL text.

Identifiers are always quoted: `order`, `Mixed Case`, `he said "hi"` and `größe` are all fine.
PostgreSQL silently cuts identifiers after 63 bytes, so that two long names can become one; here a
long name is refused, and a long *derived* name gets a hash instead of being cut.
"""

import hashlib
from functools import lru_cache

from pgcraft_django.errors import IdentifierError

DEFAULT_SCHEMA = "public"
"""Where Django creates its tables: the first schema of the search path."""

MAX_BYTES = 63  # NAMEDATALEN - 1, see "Identifiers and Key Words" in PostgreSQL's manual


def check_identifier(name: str) -> None:
    """Raise `IdentifierError` unless PostgreSQL can hold `name` as it is."""
    if not name:
        raise IdentifierError("A database name cannot be empty.")
    if "\x00" in name:
        raise IdentifierError(f"The database name {name!r} contains a NUL character.")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise IdentifierError(f"The database name {name!r} is not text that UTF-8 can hold.") from None
    if size > MAX_BYTES:
        raise IdentifierError(
            f"The database name {name!r} has {size} bytes; PostgreSQL keeps {MAX_BYTES}. Choose a shorter one."
        )


def is_identifier(name: object) -> bool:
    """Tell whether `name` is a name, and one that PostgreSQL can hold as it is."""
    return isinstance(name, str) and _can_be_held(name)


def plain_text(text: str) -> str:
    """Return `text` as an exact `str`: members of a `TextChoices` are texts too, but look different in a file.

    What is no text comes back as it is: it is left to the system checks.
    """
    return str.__str__(text) if isinstance(text, str) else text


@lru_cache(maxsize=4096)
def _can_be_held(name: str) -> bool:
    try:
        check_identifier(name)
    except IdentifierError:
        return False
    return True


@lru_cache(maxsize=4096)
def quote_name(*parts: str) -> str:
    """Return `parts` as a quoted, dot-separated SQL identifier: `"private"."users"`."""
    from psycopg import sql  # a third of a start-up that may not need it

    for part in parts:
        check_identifier(part)
    return sql.Identifier(*parts).as_string(None)


def quote_names(names: "tuple[str, ...] | list[str]") -> str:
    """Return a comma-separated list of quoted identifiers: `"id", "name"`."""
    return ", ".join(quote_name(name) for name in names)


def check_text(value: str) -> None:
    """Raise `IdentifierError` unless PostgreSQL can hold the text."""
    if "\x00" in value:
        raise IdentifierError(f"PostgreSQL cannot hold the text {value!r}: it contains a NUL character.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise IdentifierError(
            f"PostgreSQL cannot hold the text {value!r}: it is not text that UTF-8 can hold."
        ) from None


def quote_text(value: str) -> str:
    """Return `value` as a SQL string literal."""
    check_text(value)
    from psycopg import sql

    return sql.Literal(value).as_string(None).lstrip()


def quote_value(value: object) -> str:
    """Return any value that the database's driver knows as a SQL literal."""
    if isinstance(value, str):
        return quote_text(value)
    from psycopg import sql

    return sql.Literal(value).as_string(None).lstrip()


def dollar_quote(text: str) -> str:
    """Return `text` as a SQL string literal that shows it as it is: the body of a function."""
    tag, number = "$body$", 0
    while tag in text:
        number += 1
        tag = f"$body{number}$"
    return f"{tag}\n{text.strip()}\n{tag}"


def shorten(name: str, size: int = MAX_BYTES) -> str:
    """Return `name`, or, over `size` bytes, its head and a hash of the whole: always the same for the same name."""
    encoded = name.encode()
    if len(encoded) <= size:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    head = encoded[: size - len(digest) - 1].decode(errors="ignore")
    return f"{head}_{digest}"
