"""Admin classes that offer what PostgreSQL refuses."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.admin import AdminSite, ModelAdmin, StackedInline, TabularInline
from django.contrib.admin.sites import all_sites
from django.core.checks import run_checks
from django.db import models

from pgcraft_django.admin import LedgerAdmin, LedgerInline
from pgcraft_django.checks.admin import check_site
from pgcraft_django.models import PGCraftLedger
from pgcraft_django.plugins import Balance, DoubleEntry
from tests.checks.declare import expect, model
from tests.vault.admin import RoomAdmin
from tests.vault.models import Ingot

KEPT = {"plugins": [Balance(["name"], 0)]}
EVERYTHING = ["add", "change", "delete"]


def no(*arguments: Any) -> bool:
    return False


def found(kind: type[models.Model], page: type[ModelAdmin], parent: type[models.Model] | None = None) -> list[Any]:
    """Return what is wrong with a page that is registered for the model, or is an inline of `parent`."""
    own = AdminSite()
    all_sites.discard(own)  # it is nobody else's
    own.register(parent or kind, type("Page", (ModelAdmin,), {"inlines": [page]}) if parent else page)
    return list(check_site(own))


def offered(messages: list[Any]) -> list[str]:
    [message] = messages
    return message.msg.partition("offers to ")[2].partition(":")[0].replace(" and ", ", ").split(", ")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (KEPT, EVERYTHING),
        ({"plugins": [DoubleEntry()]}, EVERYTHING),
        ({"idempotency": True}, EVERYTHING),
        ({"plugins": [Balance(["name"])]}, ["change", "delete"]),
    ],
)
def test_what_breaks_a_rule_is_not_offered(apps: Apps, options: Any, expected: list[str]) -> None:
    ledger = model(apps, base=PGCraftLedger, pgcraft=options)
    assert offered(found(ledger, ModelAdmin)) == expected
    expect(found(ledger, ModelAdmin), "W092", "Write admin.site.register(Person, LedgerAdmin), with")
    own = type("PersonAdmin", (ModelAdmin,), {})
    expect(found(ledger, own), "W092", "Write class PersonAdmin(LedgerAdmin), with")
    methods = {f"has_{what}_permission": no for what in expected}
    assert found(ledger, type("PersonAdmin", (ModelAdmin,), methods)) == []
    assert found(ledger, type("PersonAdmin", (LedgerAdmin,), {})) == []


@pytest.mark.parametrize("base", [TabularInline, StackedInline])
def test_inlines_offer_no_more(apps: Apps, base: Any) -> None:
    parent = model(apps, "Shelf", base=models.Model)
    shelf = models.ForeignKey(parent, models.PROTECT)
    ledger = model(apps, base=PGCraftLedger, pgcraft=KEPT, shelf=shelf)

    def inline(kind: Any = base, **attributes: Any) -> Any:
        return found(ledger, type("PersonInline", (kind,), {"model": ledger, **attributes}), parent)

    expect(inline(), "W092", "Write class PersonInline(LedgerInline), with")
    assert offered(inline()) == EVERYTHING
    assert offered(inline(max_num=0)) == ["change", "delete"]
    assert offered(inline(can_delete=False)) == ["add", "change"]
    assert offered(inline(readonly_fields=["name"])) == EVERYTHING
    for closed in (
        {"readonly_fields": ["name", "value"]},
        {"readonly_fields": ["name"], "exclude": ["value"]},
        {"readonly_fields": ["name"], "fields": ["name"]},
        {"readonly_fields": ["name"], "fieldsets": [(None, {"fields": ["name"]})]},
        {"get_readonly_fields": no},
        {"has_change_permission": no},
    ):
        assert offered(inline(**closed)) == ["add", "delete"]
        assert inline(max_num=0, can_delete=False, **closed) == []
    assert inline(LedgerInline) == []


def test_balances_are_read(apps: Apps) -> None:
    parent = model(apps, "Shelf", base=models.Model)
    options = {"plugins": [Balance(["shelf"])]}
    model(apps, base=PGCraftLedger, pgcraft=options, shelf=models.ForeignKey(parent, models.PROTECT))
    balances = apps.get_model("shop", "PersonBalance")
    assert offered(found(balances, ModelAdmin)) == EVERYTHING
    assert offered(found(balances, type("Inline", (TabularInline,), {"model": balances}), parent)) == ["add", "delete"]
    assert found(balances, type("Inline", (LedgerInline,), {"model": balances}), parent) == []


def test_what_django_finds_comes_first(apps: Apps) -> None:
    ledger = model(apps, base=PGCraftLedger, pgcraft=KEPT)
    for wrong in ({"inlines": 3}, {"list_display": 3}):
        assert found(ledger, type("Page", (ModelAdmin,), wrong)) == []
    plain = model(apps, "Shelf", base=models.Model)
    assert found(plain, type("Page", (ModelAdmin,), {"inlines": 3})) == []


def test_it_is_among_the_checks_of_the_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    def numbers(**options: Any) -> list[str]:
        return [message.id for message in run_checks(**options) if message.id == "pgcraft_django.W092"]

    assert numbers() == []
    monkeypatch.setattr(RoomAdmin, "inlines", [type("Inline", (TabularInline,), {"model": Ingot})])
    assert numbers(tags=["admin"]) == numbers(tags=["pgcraft_django"]) == numbers() == ["pgcraft_django.W092"]
