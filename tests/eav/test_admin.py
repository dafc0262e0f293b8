"""Models with attributes in the admin, in fixtures and in tests that empty the database."""

import re
from io import StringIO
from typing import Any
from unittest import mock

import pytest
from django.contrib.admin import site
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from pgcraft_django import history_context
from pgcraft_django.admin import EAVAdmin
from tests.records.models import Document, Item
from tests.support.forms import client_of


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
    assert re.search(r"<td>What it costs</td> <td>1.50</td><td>2.25</td> <td>ann</td> <td>dearer</td>", page), page
    assert "&lt;Pen&gt;" in page
    assert "<Pen>" not in page
    assert url("changes", item.pk) in client_of("two", superuser=True).get(url("change", item.pk)).content.decode()
    assert client_of("nobody").get(url("changes", item.pk)).status_code == 403


@pytest.mark.django_db
def test_the_latest_changes_are_found_by_an_index() -> None:
    item = Item.objects.create(name="Pen")
    with CaptureQueriesContext(connection) as captured, connection.cursor() as cursor:
        client_of("root", superuser=True).get(url("changes", item.pk))
        [read] = [query["sql"] for query in captured if "LIMIT" in query["sql"] and "attribute" in query["sql"]]
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {read}")
        plan = str(cursor.fetchall())
    assert re.search(r"Index Scan Backward using \w+_step", plan), plan
    assert "Sort" not in plan


@pytest.mark.django_db
def test_values_are_shown_by_their_names_also_where_the_attribute_has_become_another_one() -> None:
    document = Document.objects.create(title="<Bill>")
    item = Item.objects.create(name="Pen", document=document)
    Item.objects.update(document=None)
    page = client_of("root", superuser=True).get(url("changes", item.pk)).content.decode()
    assert re.search(r"<td>Document</td>\s*<td>&lt;Bill&gt;</td><td>-</td>", page), page
    [shown] = EAVAdmin(Item, site)._lines([Item.history.model(attribute="price", old_value="cheap", new_value=None)])
    assert (shown["label"], shown["shown"]) == ("What it costs", ["cheap", "-"])
    [shown] = EAVAdmin(Item, site)._lines(
        [Item.history.model(attribute="gone", old_value={"a": 1}, new_value="x" * 99)]
    )
    assert (shown["label"], shown["shown"]) == ("gone", ["{'a': 1}", f"{'x' * 39}…"])


@pytest.mark.django_db
def test_names_of_what_changes_refer_to_are_asked_for_together() -> None:
    item, root = Item.objects.create(name="Pen"), client_of("root", superuser=True)
    counts = []
    for _ in range(3):
        for title in "abc":
            Item.objects.update(document=Document.objects.create(title=title))
        with CaptureQueriesContext(connection) as captured:
            root.get(url("changes", item.pk))
        counts.append(len([query for query in captured if '"documents"' in query["sql"]]))
    assert counts == [1, 1, 1]


@pytest.mark.django_db
def test_what_the_page_of_a_row_leaves_out_is_not_among_its_changes() -> None:
    item = Item.objects.create(name="Pen", price="1.50", document=Document.objects.create(title="Bill"))
    Item.objects.update(price=None, document=None)
    root = client_of("root", superuser=True)
    with mock.patch.object(EAVAdmin, "exclude", ["price", "document"]):
        page = root.get(url("changes", item.pk)).content.decode()
    assert ("Pen" in page, "1.50" in page, "Bill" in page) == (True, False, False)


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
