"""Plugins: values in `PGCraft.plugins` that add something to one model. One file each.

Those that belong to one factory live with it, and are imported when they are asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcraft_django.factories.ledger.balance import Balance as Balance
    from pgcraft_django.factories.ledger.double_entry import DoubleEntry as DoubleEntry

__all__ = ["Balance", "DoubleEntry"]

_HOMES = {
    "Balance": "pgcraft_django.factories.ledger.balance",
    "DoubleEntry": "pgcraft_django.factories.ledger.double_entry",
}

if not TYPE_CHECKING:  # type checkers have the names above, and every other one is an error to them

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
