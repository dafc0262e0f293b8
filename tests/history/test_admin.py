"""Versions in the admin: listed, compared, restored, of deleted rows too."""

import datetime
import re
from typing import Any
from unittest import mock

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from pgcraft_django import history_context
from tests.records.admin import DocumentAdmin
from tests.records.models import Document
from tests.support.forms import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def root() -> Client:
    return client_of("root", superuser=True)


@pytest.fixture
def document() -> Document:
    """A document with two former versions."""
    made = Document.objects.create(title="It's <first>", due=datetime.date(2026, 1, 2))
    with history_context(actor="ann", reason="a typo"):
        Document.objects.update(title="Second", kind="bill")
    Document.objects.update(title="Third")
    return Document.objects.get(pk=made.pk)


def url(action: str, *arguments: object) -> str:
    return reverse(f"admin:records_document_{action}", args=arguments)


def text(client: Client, address: str, **query: str) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


def cells(page: str) -> list[str]:
    return [re.sub(r"<[^>]*>", " ", cell).strip() for cell in re.findall(r"<td>(.*?)</td>", page)]


def restore(client: Client, document: Document, version: int, **said: str) -> Any:
    [history_id] = Document.history.filter(id=document.pk, version=version).values_list("history_id", flat=True)
    return client.post(url("restore", document.pk, history_id), said, follow=True)


def test_the_page_of_a_row_leads_to_its_versions(root: Client, document: Document) -> None:
    assert f'href="{url("versions", document.pk)}"' in text(root, url("change", document.pk))
    page = text(root, url("versions", document.pk))
    assert "ann" in page
    assert "a typo" in page
    for changed in ("It&#x27;s &lt;first&gt;", "Second", "Third", "A letter", "A bill"):
        assert changed in page
    assert "<first>" not in page


def test_the_way_to_a_page_is_shown_as_on_the_pages_of_django(root: Client, document: Document) -> None:
    ways = [
        re.search(r'<(\w+) class="breadcrumbs">.*?</\1>', text(root, url(page, document.pk)))
        for page in ("history", "versions")
    ]
    assert ways[0] is not None
    assert ways[1] is not None
    assert ways[0][1] == ways[1][1]
    for above in (reverse("admin:index"), url("changelist"), url("change", document.pk)):
        assert f'href="{above}"' in ways[1][0]


def test_any_two_versions_can_be_compared(root: Client, document: Document) -> None:
    first, second = Document.history.filter(id=document.pk).order_by("version")
    for a, b in ((str(first.history_id), "now"), ("now", str(first.history_id))):
        page = text(root, url("versions", document.pk), a=a, b=b)
        found = page[page.index("Differences") : page.index('id="compare"')]
        assert ("Third" in found, "A bill" in found, "first" in found) == (True, True, True)
    page = text(root, url("versions", document.pk), a=str(second.history_id), b=str(second.history_id))
    assert "No differences." in page
    for nonsense in ("x", "999999999999999999999", "-1", ""):
        assert "Differences" not in text(root, url("versions", document.pk), a=nonsense, b="now")


def test_a_version_is_restored_after_asking(root: Client, document: Document) -> None:
    asked = restore(root, document, 1)
    assert "as it was in version 1" in asked.content.decode()
    document.refresh_from_db()
    assert document.title == "Third"
    done = restore(root, document, 1, confirmed="yes", reason="they asked for it")
    assert "Version 1 is restored." in done.content.decode()
    document.refresh_from_db()
    assert (document.title, document.kind, document.version) == ("It's <first>", "letter", 4)
    assert Document.history.get(version=3).reason == "they asked for it"
    assert LogEntry.objects.get().get_change_message() == "Restored version 1."


def test_what_is_restored_on_the_page_of_a_proxy_is_in_its_log(root: Client, document: Document) -> None:
    [history_id] = Document.history.filter(id=document.pk, version=1).values_list("history_id", flat=True)
    address = reverse("admin:records_letter_restore", args=[document.pk, history_id])
    assert "Version 1 is restored." in root.post(address, {"confirmed": "yes"}, follow=True).content.decode()
    assert LogEntry.objects.get().content_type.model == "letter"


def test_a_deleted_row_is_found_and_restored(root: Client, document: Document) -> None:
    key = document.pk
    document.delete()
    assert f'href="{url("deleted")}"' in text(root, url("changelist"))
    page = text(root, url("deleted"))
    assert page.count(url("versions", key)) == 1
    assert "Third" in page
    assert "delete" in text(root, url("versions", key))
    document.pk = key
    restore(root, document, 2, confirmed="yes")
    assert Document.objects.get(pk=key).title == "Second"
    assert "Nothing is deleted." in text(root, url("deleted"))
    Document.objects.filter(pk=key).delete()
    assert text(root, url("deleted")).count(url("versions", key)) == 1


def test_what_a_deleted_row_was_is_shown_before_it_is_restored(root: Client, document: Document) -> None:
    key = document.pk
    document.delete()
    document.pk = key
    page = re.sub(r"\s+", " ", restore(root, document, 1).content.decode())
    assert cells(page[page.index("Then") :])[:4] == ["It&#x27;s &lt;first&gt;", "-", "A letter", "-"]


def test_what_was_deleted_last_comes_first(root: Client) -> None:
    keys = [Document.objects.create(title=title).pk for title in "abcd"]
    for place in (2, 0, 3, 1):
        Document.objects.filter(pk=keys[place]).delete()
    pages = [text(root, url("deleted"), p=number) for number in "12"]
    assert [re.findall(r'versions/">(.)</a>', page) for page in pages] == [["b", "d", "a"], ["c"]]


def test_a_page_of_deleted_rows_is_found_without_going_through_the_history(root: Client) -> None:
    for title in "ab":
        Document.objects.create(title=title).delete()
    with CaptureQueriesContext(connection) as queries:
        text(root, url("deleted"))
    [page] = [query["sql"] for query in queries if "NOT EXISTS" in query["sql"] and "LIMIT" in query["sql"]]
    with connection.cursor() as cursor:
        for way in ("seqscan", "bitmapscan", "sort"):  # of two rows they are the shorter ones
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute(f"EXPLAIN {page}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Scan Backward using documents_h_valid" in plan


def test_names_of_what_versions_refer_to_are_asked_for_together(
    root: Client, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DocumentAdmin, "list_per_page", 50)
    counts = []
    for _ in range(3):
        for title in "abc":
            Document.objects.filter(pk=document.pk).update(parent=Document.objects.create(title=title))
        with CaptureQueriesContext(connection) as queries:
            text(root, url("versions", document.pk))
        counts.append(len(queries))
    assert counts == counts[:1] * 3


def test_a_hidden_row_stays_hidden_when_it_is_deleted(root: Client, document: Document) -> None:
    keys = []
    for title in ("hidden", "not for you"):
        made = Document.objects.create(title=title)
        keys.append(made.pk)
        made.delete()
    versions = dict(Document.history.filter(id__in=keys).values_list("id", "history_id"))

    def may_view(self: Any, request: Any, obj: Any = None) -> bool:
        return obj is None or obj.title != "not for you"

    with mock.patch.object(DocumentAdmin, "has_view_permission", may_view):
        assert url("versions", keys[0]) not in text(root, url("deleted"))
        assert url("versions", keys[1]) not in text(root, url("deleted"))
        for key, status in zip(keys, (404, 403), strict=True):
            assert root.get(url("versions", key)).status_code == status
            assert root.post(url("restore", key, versions[key]), {"confirmed": "yes"}).status_code == status
    assert url("versions", keys[1]) in text(root, url("deleted"))


def test_what_the_page_of_a_row_leaves_out_is_not_in_its_versions(root: Client, document: Document) -> None:
    Document.objects.update(secret="swordfish")
    Document.objects.update(secret="", title="Fourth")
    [version, *_] = Document.history.filter(id=document.pk).order_by("-version")
    page = text(root, url("versions", document.pk), a=str(version.history_id), b="now")
    assert ("Fourth" in page, "swordfish" in page) == (True, False)
    assert "Size" not in page  # which no form has, since the database computes it
    assert "swordfish" not in restore(root, document, version.version).content.decode()


def test_values_are_shown_by_their_names(root: Client, document: Document) -> None:
    parent = Document.objects.create(title="The <parent>")
    Document.objects.filter(pk=document.pk).update(parent=parent, kind="gone")
    Document.objects.filter(pk=document.pk).update(parent=None, kind="letter")
    page = text(root, url("versions", document.pk))
    assert "Parent: The &lt;parent&gt; → -" in page
    assert "Sort: gone → A letter" in page  # no choice any more
    key = parent.pk
    parent.delete()
    assert f"Parent: {key} → -" in text(root, url("versions", document.pk))


def test_an_icon_is_not_cut(root: Client, document: Document, settings: Any) -> None:
    settings.STATIC_URL = f"https://static.example.com/{'x' * 60}/"
    Document.objects.update(is_signed=True, title="y" * 100)
    Document.objects.update(title="z")
    page = text(root, url("versions", document.pk))
    assert re.findall(r'Is signed: <img src="[^"]*" alt="(\w+)"> → <img src="[^"]*" alt="(\w+)"> ?</div>', page) == [
        ("False", "True")
    ]
    assert f"{'y' * 59}…" in page


def test_who_chooses_a_row_is_not_led_away(root: Client, document: Document) -> None:
    assert url("deleted") not in text(root, url("changelist"), _popup="1")


def test_nothing_is_shown_or_restored_without_permission(document: Document) -> None:
    [history_id] = Document.history.filter(version=1).values_list("history_id", flat=True)
    nobody, viewer = client_of("nobody"), client_of("viewer", "view_document")
    for address in (url("versions", document.pk), url("deleted")):
        assert nobody.get(address).status_code == 403
        assert viewer.get(address).status_code == 200
    assert "Restore" not in text(viewer, url("versions", document.pk))
    for client in (nobody, viewer):
        assert client.post(url("restore", document.pk, history_id), {"confirmed": "yes"}).status_code == 403
    assert Client().get(url("versions", document.pk)).status_code == 302
    adder = client_of("adder", "view_document", "add_document")
    assert adder.post(url("restore", document.pk, history_id), {"confirmed": "yes"}).status_code == 403
    changer = client_of("changer", "view_document", "change_document")
    key = document.pk
    document.delete()
    assert changer.post(url("restore", key, history_id), {"confirmed": "yes"}).status_code == 403
    assert adder.post(url("restore", key, history_id), {"confirmed": "yes"}).status_code == 302
    assert Document.objects.filter(pk=key).exists()


def test_what_is_not_there_or_hidden_is_not_found(root: Client, document: Document) -> None:
    hidden = Document.objects.create(title="hidden")
    Document.objects.filter(pk=hidden.pk).update(kind="bill")
    for key in (hidden.pk, 987654, "x"):
        assert root.get(url("versions", key)).status_code == 404
    other = Document.history.get(id=hidden.pk).history_id
    assert root.post(url("restore", document.pk, other), {"confirmed": "yes"}).status_code == 404
    assert root.get(url("restore", document.pk, other)).status_code == 405


def test_many_versions_come_page_by_page(root: Client, document: Document) -> None:
    for number in range(4):
        Document.objects.update(title=f"No. {number}")
    assert text(root, url("versions", document.pk)).count('value="Restore"') == 3
    assert "1 / 2" in text(root, url("versions", document.pk))
    assert "a typo" in text(root, url("versions", document.pk), p="2")


def test_a_page_of_versions_is_read_at_once(root: Client, document: Document) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            text(root, url("versions", document.pk))
        return len(captured)

    count()  # what Django looks up once
    before = count()
    Document.objects.update(title="Fourth")
    assert count() == before


def test_what_the_database_refuses_is_a_message(root: Client, document: Document) -> None:
    parent = Document.objects.create(title="Parent")
    Document.objects.filter(pk=document.pk).update(parent=parent)
    Document.objects.filter(pk=document.pk).update(parent=None)
    key = parent.pk
    parent.delete()
    done = restore(root, document, 4, confirmed="yes", reason="\0")
    [message] = map(str, done.context["messages"])
    assert "violates foreign key constraint" in message
    assert f"Key (id)=({key})" in message  # which the transaction of the test has deleted
