"""The public face of the factories.

Each is imported when it is asked for: to define a model, even an abstract one, Django loads the database's driver,
and it imports this module at every start-up.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcraft_django.factories.append_only.model import PGCraftAppendOnly as PGCraftAppendOnly
    from pgcraft_django.factories.append_only.queries import HistoryQuerySet as HistoryQuerySet
    from pgcraft_django.factories.eav.document import DocumentField as DocumentField
    from pgcraft_django.factories.eav.model import PGCraftEAV as PGCraftEAV
    from pgcraft_django.factories.eav.orm import EAVQuerySet as EAVQuerySet
    from pgcraft_django.factories.foreign_key import PGCraftForeignKey as PGCraftForeignKey
    from pgcraft_django.factories.ledger.model import PGCraftLedger as PGCraftLedger
    from pgcraft_django.factories.ledger.writing import LedgerQuerySet as LedgerQuerySet
    from pgcraft_django.factories.login.model import PGCraftLogin as PGCraftLogin
    from pgcraft_django.factories.simple import PGCraftSimple as PGCraftSimple
    from pgcraft_django.factories.state_machine.machine import Transition as Transition
    from pgcraft_django.factories.state_machine.model import PGCraftStateMachine as PGCraftStateMachine

__all__ = [
    "DocumentField",
    "EAVQuerySet",
    "HistoryQuerySet",
    "LedgerQuerySet",
    "PGCraftAppendOnly",
    "PGCraftEAV",
    "PGCraftForeignKey",
    "PGCraftLedger",
    "PGCraftLogin",
    "PGCraftSimple",
    "PGCraftStateMachine",
    "Transition",
]

_HOMES = {
    "DocumentField": "pgcraft_django.factories.eav.document",
    "EAVQuerySet": "pgcraft_django.factories.eav.orm",
    "HistoryQuerySet": "pgcraft_django.factories.append_only.queries",
    "LedgerQuerySet": "pgcraft_django.factories.ledger.writing",
    "PGCraftAppendOnly": "pgcraft_django.factories.append_only.model",
    "PGCraftEAV": "pgcraft_django.factories.eav.model",
    "PGCraftForeignKey": "pgcraft_django.factories.foreign_key",
    "PGCraftLedger": "pgcraft_django.factories.ledger.model",
    "PGCraftLogin": "pgcraft_django.factories.login.model",
    "PGCraftSimple": "pgcraft_django.factories.simple",
    "PGCraftStateMachine": "pgcraft_django.factories.state_machine.model",
    "Transition": "pgcraft_django.factories.state_machine.machine",
}

if not TYPE_CHECKING:  # type checkers have the names above, and every other one is an error to them

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
