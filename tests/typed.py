"""What type checkers see of models. Nothing runs this: `make lint` reads it."""

import datetime
from decimal import Decimal
from typing import Any, ClassVar, Self, assert_type

from django.db import models

import pgcraft_django
from pgcraft_django.errors import TransitionError
from pgcraft_django.factories.append_only.versions import VersionQuerySet
from pgcraft_django.factories.eav.orm import LogQuerySet
from pgcraft_django.models import (
    EAVQuerySet,
    HistoryQuerySet,
    LedgerQuerySet,
    PGCraftAppendOnly,
    PGCraftForeignKey,
    PGCraftLedger,
)
from pgcraft_django.plugins import Balance
from tests.records.models import Document, Item
from tests.tickets.models import Ticket
from tests.vault.models import Gold


class Former(HistoryQuerySet):
    """Made for a manager: `Former.as_manager()`, or `models.Manager.from_queryset(Former)`."""

    def of_last_year(self, when: datetime.datetime) -> Self:
        return self.as_of(when).filter(title="x")


class Booking(LedgerQuerySet):
    """The same for entries."""

    def gift(self, vault: str) -> Any:
        return self.record(vault=vault, value=1)


class Cheap(EAVQuerySet):
    """The same for attributes."""

    def sold_out(self) -> int:
        return self.update(price=None)


FormerManager = models.Manager.from_queryset(Former)


class MemoQuerySet(HistoryQuerySet["Memo"]):
    """For a manager that knows its model."""

    def short(self) -> Self:
        return self.filter(text__length__lt=80)


class Memo(PGCraftAppendOnly):
    """With a manager in the place of that of the factory."""

    text = models.TextField()

    objects: ClassVar = MemoQuerySet.as_manager()

    class Meta:
        app_label = "vault"


class Sale(PGCraftLedger):
    """In money, and of something whose relation is a view."""

    value = models.DecimalField(max_digits=20, decimal_places=2)
    item = PGCraftForeignKey(Item, models.PROTECT)

    class Meta:
        app_label = "vault"

    class PGCraft:
        plugins = [Balance(dimensions=["item"], minimum=Decimal("0.50"))]


def nothing() -> Any:
    return pgcraft_django.nothing_like_that  # type: ignore[attr-defined]


def history(document: Document, when: datetime.datetime) -> VersionQuerySet:
    assert_type(document.version, int)
    assert_type(document.title, str)
    assert_type(Document.objects.as_of(when).get(), Document)
    assert_type(Document.objects.create(title="x"), Document)
    assert_type(Memo.objects.short().as_of(when).get(), Memo)
    Document.history.filter(operation="delete")
    return document.history.filter(version=1)


def attributes(item: Item) -> LogQuerySet:
    assert_type(item.price, Decimal | None)
    assert_type(Item.objects.filter(price=1).get(), Item)
    assert_type(Item.objects.update_or_create(price=1), tuple[Item, bool])
    Item.history.filter(attribute="price")
    return item.history.filter(attribute="price")


def ledgers(sale: Sale, gold: Gold) -> None:
    assert_type(sale.value, Decimal)
    assert_type(gold.vault, str)
    assert_type(Gold.objects.record(vault="a", value=1), Gold)
    assert_type(Gold.objects.filter(vault="a").record([{"vault": "a", "value": 1}]), list[Gold])
    assert_type(Gold.objects.transfer({"vault": "a"}, {"vault": "b"}, value=1), list[Gold])
    Balance(dimensions=1)  # type: ignore[arg-type]


def states(ticket: Ticket) -> Any:
    assert_type(Ticket.state_machine.final, tuple[str, ...])
    assert_type(ticket.state_machine.allowed(), list[str])
    try:
        return ticket.state_machine.transition("taken", reason="mine")
    except TransitionError:
        return None
