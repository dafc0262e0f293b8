"""Entries and balances are read in the admin, and nothing else is done there."""

from typing import Any
from unittest import mock

import pytest
from django.contrib.admin import site
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import IntegrityError, connection
from django.db.models import F
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from pgcraft_django.admin import LedgerAdmin
from tests.records.models import Document
from tests.support.forms import client_of, errors, filled_in, serve
from tests.vault.admin import IngotInline
from tests.vault.models import Gold, Ingot, IngotBalance, Room

pytestmark = pytest.mark.django_db


@pytest.fixture
def root() -> Client:
    return client_of("root", superuser=True)


def test_the_list_has_entries_and_balances(root: Client) -> None:
    Gold.objects.record([{"vault": "<A>", "value": 5}, {"vault": "<A>", "value": -2}])
    page = root.get(reverse("admin:vault_gold_changelist")).content.decode()
    assert page.count("field-value") == 2
    assert "<td>&lt;A&gt;</td><td>NULL</td><td>3</td>" in page
    assert "Balances of gold" in page
    assert "Balances of gold" not in root.get(reverse("admin:vault_gold_changelist"), {"_popup": "1"}).content.decode()
    assert "<td>3</td>" in root.get(reverse("admin:vault_ounce_changelist")).content.decode()  # of a proxy


def test_balances_are_those_of_the_entries_that_are_shown(root: Client) -> None:
    Gold.objects.record([{"vault": "A", "owner": name, "value": 5} for name in ("ann", "bob", None)])
    url = reverse("admin:vault_gold_changelist")
    assert root.get(url).content.decode().count("<td>5</td>") == 3
    Gold.objects.record(vault="A", owner="ann", value=2)
    restricted = Gold.objects.annotate(double=F("value") * 2).filter(owner="ann")
    with mock.patch.object(LedgerAdmin, "get_queryset", return_value=restricted):
        page = root.get(url).content.decode()
    assert (page.count("<td>7</td>"), "bob" in page) == (1, False)


def test_groups_are_shown_by_their_names_and_found_at_once(django_assert_num_queries: Any) -> None:
    keys = [Document.objects.create(title=title).pk for title in ("<A>", "B")]
    page, field = LedgerAdmin(Gold, site), Document._meta.get_field("parent")
    with django_assert_num_queries(1):
        assert page._column(field, [*keys, None, 987654]) == ["<A>", "B", None, "987654"]
    assert page._column(Document._meta.get_field("kind"), ["bill", "gone"]) == ["A bill", "gone"]


def test_an_entry_is_shown_and_cannot_be_changed(root: Client) -> None:
    entry = Gold.objects.record(vault="A", value=5, idempotency_key="k")
    url = reverse("admin:vault_gold_change", args=[entry.pk])
    page = root.get(url).content.decode()
    assert str(entry.entry_id) in page
    assert "When it was booked." in page
    assert 'name="value"' not in page
    assert 'name="_save"' not in page
    for address in (url, reverse("admin:vault_gold_add"), reverse("admin:vault_gold_delete", args=[entry.pk])):
        assert root.post(address, {"value": 6, "vault": "A"}).status_code == 403
    assert list(Gold.objects.values_list("value", flat=True)) == [5]


def test_the_test_database_is_a_real_one() -> None:
    with pytest.raises(IntegrityError, match="cannot fall below 0"):
        Gold.objects.record(vault="A", value=-1)


def test_tests_may_empty_ledgers() -> None:
    Gold.objects.record(vault="A", value=1, idempotency_key="k")
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            if table.startswith("gold"):
                cursor.execute(f'TRUNCATE "{table}"')
    assert Gold.objects.balance(vault="A", owner=None) == 0
    Gold.objects.record(vault="A", value=2, idempotency_key="k")


@pytest.fixture
def room() -> Room:
    found = Room.objects.create(name="cellar")
    Ingot.objects.record([{"room": found, "metal": "gold", "value": 7}, {"room": found, "metal": "tin", "value": 2}])
    Ingot.objects.record(room=found, metal="gold", value=-3)
    Ingot.objects.record(room=Room.objects.create(name="attic"), metal="gold", value=55)
    return found


def shown(page: Any) -> list[list[dict[str, str]]]:
    """Return what the inlines of the page show: for each its rows, field -> text."""
    return [
        [{field.field["name"]: field.contents() for line in form for part in line for field in part} for form in inline]
        for inline in page.context["inline_admin_formsets"]
    ]


def test_an_object_shows_its_entries_and_balances_to_read(root: Client, room: Room) -> None:
    page = root.get(reverse("admin:vault_room_change", args=[room.pk]))
    entries, balances = shown(page)
    assert [(entry["metal"], entry["value"]) for entry in entries] == [("gold", "-3"), ("tin", "2"), ("gold", "7")]
    assert entries[0].keys() == {"value", "created_at", "metal"}
    assert [(balance["metal"], balance["balance"]) for balance in balances] == [("tin", "2"), ("gold", "4")]
    inputs = {name for name in filled_in(page) if not name.endswith(("_FORMS", "-id", "-room"))}
    assert inputs == {"name"}
    assert "DELETE" not in page.content.decode()
    with mock.patch.object(IngotInline, "fields", ["value"]):
        assert shown(root.get(reverse("admin:vault_room_change", args=[room.pk])))[0][0] == {"value": "-3"}


def test_what_is_sent_nevertheless_books_nothing(root: Client, room: Room) -> None:
    url = reverse("admin:vault_room_change", args=[room.pk])
    before = list(Ingot.objects.values_list("pk", "value", "metal"))
    forged = {"ingot_set-0-value": 6, "ingot_set-0-metal": "lead", "ingot_set-1-DELETE": "on", "-1-0-DELETE": "on"}
    further = {"ingot_set-TOTAL_FORMS": 4, "ingot_set-3-value": -60, "ingot_set-3-metal": "gold"}
    answer = root.post(url, {**filled_in(root.get(url)), **forged, **further, "name": "vault"})
    assert answer.status_code == 302
    assert Room.objects.get(pk=room.pk).name == "vault"
    assert list(Ingot.objects.values_list("pk", "value", "metal")) == before
    assert Ingot.objects.verify(full=True) == []
    url = reverse("admin:vault_room_add")
    assert root.post(url, {**filled_in(root.get(url)), "name": "new"}).status_code == 302


def test_the_latest_entries_are_shown_and_nobody_has_to_wait_for_those_who_book(root: Client, room: Room) -> None:
    url = reverse("admin:vault_room_change", args=[room.pk])
    with mock.patch.object(IngotInline, "length", 2):
        page = root.get(url)
        assert [entry["value"] for entry in shown(page)[0]] == ["-3", "2"]
        values = {**filled_in(page), "name": ""}
        Ingot.objects.record([{"room": room, "metal": metal, "value": 1} for metal in ("gold", "lead", "gold")])
        again = root.post(url, values)
        assert errors(again) == ["This field is required."]
        assert [entry["metal"] for entry in shown(again)[0]] == ["gold", "lead"]
        assert root.post(url, {**values, "name": "vault"}).status_code == 302
    assert Room.objects.get(pk=room.pk).name == "vault"
    assert Ingot.objects.count() == 7


def test_an_object_of_many_entries_can_be_saved(root: Client, room: Room) -> None:
    """Django takes 1,000 values of a form."""
    Ingot.objects.record([{"room": room, "metal": "gold", "value": 1}] * 600)
    url = reverse("admin:vault_room_change", args=[room.pk])
    assert root.post(url, {**filled_in(root.get(url)), "name": "vault"}).status_code == 302


def test_entries_on_a_page_are_for_who_may_see_them(room: Room) -> None:
    clerk = get_user_model().objects.create_user("clerk", is_staff=True)
    client, url = Client(), reverse("admin:vault_room_change", args=[room.pk])
    client.force_login(clerk)
    for shown in ([], ["view_ingot"]):
        clerk.user_permissions.set(Permission.objects.filter(codename__in=["change_room", *shown]))
        assert len(client.get(url).context["inline_admin_formsets"]) == len(shown)


def test_balances_have_a_page_of_their_own_to_read(root: Client, room: Room, settings: Settings) -> None:
    serve(settings, {IngotBalance: LedgerAdmin})
    page = root.get(reverse("admin:vault_ingotbalance_changelist")).content.decode()
    assert page.count("field-balance") == 3
    key = IngotBalance.objects.first().pk
    assert root.get(reverse("admin:vault_ingotbalance_change", args=[key])).status_code == 200
    for action, arguments in (("add", []), ("change", [key]), ("delete", [key])):
        assert root.post(reverse(f"admin:vault_ingotbalance_{action}", args=arguments)).status_code == 403
