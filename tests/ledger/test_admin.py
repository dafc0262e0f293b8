"""Entries and balances are read in the admin, and nothing else is done there."""

from typing import Any
from unittest import mock

import pytest
from django.contrib.admin import site
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection
from django.db.models import F
from django.test import Client
from django.urls import reverse

from pgcraft_django.admin import LedgerAdmin
from tests.records.models import Document
from tests.vault.models import Gold

pytestmark = pytest.mark.django_db


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_user("root", is_staff=True, is_superuser=True))
    return client


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
