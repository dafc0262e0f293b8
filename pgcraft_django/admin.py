"""The public face of the admin classes.

Django's admin imports this module at start-up, also where no model needs it: each class is imported when it is asked
for, and nothing is registered.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcraft_django.factories.append_only.admin import AppendOnlyAdmin as AppendOnlyAdmin
    from pgcraft_django.factories.eav.admin import EAVAdmin as EAVAdmin
    from pgcraft_django.factories.ledger.admin import LedgerAdmin as LedgerAdmin
    from pgcraft_django.factories.ledger.admin import LedgerInline as LedgerInline
    from pgcraft_django.factories.state_machine.admin import StateMachineAdmin as StateMachineAdmin
    from pgcraft_django.factories.state_machine.admin import StateMachineInline as StateMachineInline

__all__ = ["AppendOnlyAdmin", "EAVAdmin", "LedgerAdmin", "LedgerInline", "StateMachineAdmin", "StateMachineInline"]

_HOMES = {
    "AppendOnlyAdmin": "pgcraft_django.factories.append_only.admin",
    "EAVAdmin": "pgcraft_django.factories.eav.admin",
    "LedgerAdmin": "pgcraft_django.factories.ledger.admin",
    "LedgerInline": "pgcraft_django.factories.ledger.admin",
    "StateMachineAdmin": "pgcraft_django.factories.state_machine.admin",
    "StateMachineInline": "pgcraft_django.factories.state_machine.admin",
}

if not TYPE_CHECKING:  # type checkers have the names above, and every other one is an error to them

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
