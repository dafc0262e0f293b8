"""Everything this package raises on purpose.

    PGCraftError
    ├── ConfigurationError      settings, options or declarations that cannot be used
    │   └── IdentifierError     a name or a text that PostgreSQL cannot hold
    ├── MigrationError          a migration that cannot be written, or that cannot run here
    ├── RoleError               a role that cannot be switched to
    ├── LoginEnded              a login that gives no more tokens
    ├── TransitionError         a change of state that the database refuses
    │   └── TransitionConflict  somebody else was first
    ├── IdempotencyConflict     a key of an entry that has another content
    └── ServerError             a program or server that is missing, unreachable or refuses

Each message says what is wrong and what to do. Management commands turn them into `CommandError`,
so that a user never sees a traceback for bad input. `docs/errors.md` has them too.
"""

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError


class PGCraftError(Exception):
    """Base of all errors of this package."""


class ConfigurationError(PGCraftError, ImproperlyConfigured):
    """Settings, options or declarations that cannot be used."""


class IdentifierError(ConfigurationError, ValueError):
    """A name or a text that PostgreSQL cannot hold: with a NUL, or no UTF-8; or a name, empty or over 63 bytes."""


class MigrationError(PGCraftError, CommandError):
    """A migration that cannot be written, or that this database, or its user, does not let run.

    `makemigrations` and `migrate` print it without a traceback.
    """


class RoleError(PGCraftError):
    """A role that no request can switch to, or Django's database user may not, or that may not do what is asked."""


class LoginEnded(PGCraftError):  # noqa: N818 - what it is, is what it is called
    """A login that gives no more tokens, or what was shown for it is none."""


class TransitionError(PGCraftError):
    """A change of state that is not declared, or whose guard is not true."""


class TransitionConflict(TransitionError):  # noqa: N818 - what it is, is what it is called
    """A change of state that came too late: the row is no longer in the state that was expected."""


class IdempotencyConflict(PGCraftError):  # noqa: N818 - what it is, is what it is called
    """An idempotency key that belongs to an entry with another content, or one that a request may not see."""


class ServerError(PGCraftError):
    """A program or a server that is missing, unreachable or refuses to work."""
