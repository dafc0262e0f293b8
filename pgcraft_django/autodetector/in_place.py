"""Operations of ours in the place of Django's: the same arguments, and the same operations to wait for."""

from typing import Any

from django.db.migrations.operations.base import Operation


def in_place_of(operation: Any, kind: type[Operation]) -> Operation:
    """Return an operation of `kind`, a subclass of the operation's own class, with all that `operation` says."""
    _, arguments, keywords = operation.deconstruct()
    made: Any = kind(*arguments, **keywords)
    made._auto_deps = list(operation._auto_deps)
    return made  # type: ignore[no-any-return]
