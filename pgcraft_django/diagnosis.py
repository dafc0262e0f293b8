"""What the server says about an error: its code, and its words for a person."""

from django.db import DatabaseError

# See the appendix "PostgreSQL Error Codes" of its manual.
INSUFFICIENT_PRIVILEGE = "42501"
READ_ONLY = "25006"
UNDEFINED_TABLE = "42P01"
UNDEFINED_COLUMN = "42703"
UNDEFINED_FUNCTION = "42883"
UNDEFINED_OBJECT = "42704"  # a missing role, among others
DUPLICATE_DATABASE = "42P04"
NOT_NULL_VIOLATION = "23502"
FOREIGN_KEY_VIOLATION = "23503"
UNIQUE_VIOLATION = "23505"
LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK_DETECTED = "40P01"
SERIALIZATION_FAILURE = "40001"
INVALID_PARAMETER_VALUE = "22023"

# Our own, which PostgREST answers with the status that they name.
CONFLICT = "PT409"
MISSING = "PT404"


def sqlstate(error: DatabaseError) -> str | None:
    """Return the server's error code, None if the server did not answer."""
    return getattr(error.__cause__, "sqlstate", None)


def server_message(error: DatabaseError) -> str:
    """Return the first line of what the server said."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return str(getattr(diagnosis, "message_primary", None) or error).strip()


def server_hint(error: DatabaseError) -> str:
    """Return the server's advice, if it gave one."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return str(getattr(diagnosis, "message_hint", None) or "")


def server_words(error: DatabaseError) -> str:
    """Return what the server said, without the statement and without the place in a function."""
    diagnosis = getattr(error.__cause__, "diag", None)
    said = (server_message(error), getattr(diagnosis, "message_detail", None), server_hint(error))
    return "\n".join(part for part in said if part)
