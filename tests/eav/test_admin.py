"""Models with attributes in the admin, in fixtures and in tests that empty the database."""

import re
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from pgcraft_django import history_context
from tests.records.models import Item


def client_of(name: str, *, superuser: bool) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_user(name, is_staff=True, is_superuser=superuser))
    return client


def url(action: str, *arguments: object) -> str:
    return reverse(f"admin:records_item_{action}", args=arguments)


@pytest.mark.django_db
def test_rows_are_added_changed_listed_and_deleted() -> None:
    root = client_of("root", superuser=True)
    assert root.post(url("add"), {"name": "Pen", "price": "1.50"}).status_code == 302
    item = Item.objects.get()
    assert "Pen" in root.get(url("changelist"), {"q": ""}).content.decode()
    again = root.post(url("add"), {"name": "Pen"})
    assert "already exists" in again.content.decode()
    assert root.post(url("change", item.pk), {"name": "Pencil", "price": ""}).status_code == 302
    assert Item.objects.values_list("name", "price").get() == ("Pencil", None)
    assert root.post(url("delete", item.pk), {"post": "yes"}).status_code == 302
    assert Item.objects.count() == 0


@pytest.mark.django_db
def test_changes_are_listed_with_who_and_why() -> None:
    item = Item.objects.create(name="<Pen>", price="1.50")
    with history_context(actor="ann", reason="dearer"):
        Item.objects.update(price="2.25")
    page = re.sub(r"\s+", " ", client_of("root", superuser=True).get(url("changes", item.pk)).content.decode())
    assert re.search(r"<td>What it costs</td> <td>1.50</td> <td>2.25</td> <td>ann</td> <td>dearer</td>", page), page
    assert "&lt;Pen&gt;" in page
    assert "<Pen>" not in page
    assert url("changes", item.pk) in client_of("two", superuser=True).get(url("change", item.pk)).content.decode()
    assert client_of("nobody", superuser=False).get(url("changes", item.pk)).status_code == 403


@pytest.mark.django_db
def test_fixtures_take_rows_along(tmp_path: Any) -> None:
    Item.objects.create(name="Pen", price="1.50")
    written = StringIO()
    call_command("dumpdata", "records.item", stdout=written)
    Item.objects.all().delete()
    (tmp_path / "items.json").write_text(written.getvalue())
    call_command("loaddata", str(tmp_path / "items.json"), verbosity=0)
    assert [(item.name, str(item.price)) for item in Item.objects.all()] == [("Pen", "1.50")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("time", [1, 2])
def test_a_test_that_empties_the_database_empties_entities_too(time: int) -> None:
    assert Item.objects.count() == 0
    Item.objects.create(name="Pen")
