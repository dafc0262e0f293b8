"""Entries and balances are read in the admin, and nothing else is done there."""

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse

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
