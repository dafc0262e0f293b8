"""Histories of models with odd names, odd keys and odd questions, and on several databases."""

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models
from django.db.models import Count, Exists, OuterRef, Subquery

from pgcraft_django import history_context
from pgcraft_django.models import PGCraftAppendOnly
from tests.history.conftest import Place
from tests.support.world import World, new_site

LONGEST = "a" * 53  # with `_history`, and PostgreSQL's own names, within its 63 bytes


def define(apps: Apps, called: str, table: str, order: str | None = None, **fields: Any) -> None:
    options = {"apps": apps, "app_label": "shop", "db_table": table, "order_with_respect_to": order}
    meta = type("Meta", (), options)
    inner = type("PGCraft", (), {"api": None})
    type(called, (PGCraftAppendOnly,), {"__module__": __name__, "Meta": meta, "PGCraft": inner, **fields})


def now(place: Place) -> datetime.datetime:
    return place.query("SELECT clock_timestamp()")[0][0]


# -- Keys and questions ------------------------------------------------------------------------------------------------


def declare(apps: Apps) -> None:
    parent = models.ForeignKey("self", models.SET_NULL, null=True, related_name="parts")
    define(apps, "Folder", "folders", name=models.TextField(), parent=parent)
    define(
        apps,
        "Page",
        "pages",
        pk=models.CompositePrimaryKey("folder", "number"),
        folder=models.ForeignKey("shop.Folder", models.CASCADE, related_name="pages"),
        number=models.IntegerField(),
        text=models.TextField(default=""),
    )


@pytest.fixture
def folders(place: Place) -> Place:
    place.evolve(declare)
    return place


def test_a_row_remembers_its_parent_that_is_deleted(folders: Place) -> None:
    root = folders.rows("Folder").create(name="root")
    leaf = folders.rows("Folder").create(name="leaf", parent=root)
    then, key = now(folders), root.pk
    root.delete()
    [version] = folders.model("Folder").history.using(folders.site.alias).filter(id=leaf.pk)
    assert (version.parent_id, version.diff()) == (key, {"parent": (key, None)})
    was = folders.rows("Folder").as_of(then).get(name="leaf")
    assert was.parent_id == key
    [gone] = folders.model("Folder").history.using(folders.site.alias).filter(id=key)
    gone.restore()
    assert version.restore().parent.name == "root"


def test_a_row_that_is_its_own_parent_is_deleted_and_restored(folders: Place) -> None:
    rows = folders.rows("Folder")
    loop = rows.create(name="loop")
    rows.filter(pk=loop.pk).update(parent=loop)
    rows.filter(pk=loop.pk).delete()
    versions = list(folders.model("Folder").history.using(folders.site.alias).order_by("version"))
    assert [item.operation for item in versions][-1] == "delete"
    assert [item.version for item in versions] == list(range(1, len(versions) + 1))
    withself = next(item for item in versions if item.parent_id)
    assert withself.restore().parent_id == loop.pk


def test_the_order_of_rows_with_respect_to_another_has_versions(place: Place) -> None:
    def ordered(apps: Apps, order: str | None) -> None:
        define(apps, "Folder", "folders", name=models.TextField())
        define(apps, "Page", "pages", order, folder=models.ForeignKey("shop.Folder", models.CASCADE))

    place.evolve(lambda apps: ordered(apps, "folder"))
    folder = place.rows("Folder").create(name="a")
    pages = place.rows("Page").bulk_create([place.model("Page")(folder=folder, _order=number) for number in (0, 1)])
    then = now(place)
    folder.set_page_order([pages[1].pk, pages[0].pk], using=place.site.alias)
    assert list(place.rows("Page").as_of(then).values_list("pk", flat=True)) == [pages[0].pk, pages[1].pk]
    first = place.model("Page").history.using(place.site.alias).get(id=pages[0].pk)
    assert (first.diff(), first.restore()._order) == ({"_order": (0, 1)}, 0)
    place.evolve(lambda apps: ordered(apps, None))
    assert place.rows("Page").get(pk=pages[0].pk).version == 3


def test_what_django_fills_in_by_itself_is_restored_as_it_was(place: Place) -> None:
    """Not the time of the restoring, nor a place behind the others, nor NULL where JSON's null was."""

    def declare_pages(apps: Apps) -> None:
        define(apps, "Folder", "folders", name=models.TextField())
        fields = {
            "folder": models.ForeignKey("shop.Folder", models.CASCADE),
            "made": models.DateTimeField(auto_now_add=True),
            "changed": models.DateTimeField(auto_now=True),
            "data": models.JSONField(),
            "more": models.JSONField(null=True),
        }
        define(apps, "Page", "pages", "folder", **fields)

    place.evolve(declare_pages)
    folder, null = place.rows("Folder").create(name="a"), models.Value(None, models.JSONField())
    page = place.rows("Page").create(folder=folder, data=null)
    place.rows("Page").create(folder=folder, data=1)
    stored = f"SELECT made, changed, _order, data::text, more::text FROM pages WHERE id = {page.pk}"
    [before] = place.query(stored)
    assert before[3:] == ("null", None)
    place.rows("Page").filter(pk=page.pk).update(data={"a": 1}, more=null)
    [first] = page.history
    first.restore()
    assert place.query(stored) == [before]
    place.rows("Page").filter(pk=page.pk).delete()
    first.restore()
    assert place.query(stored) == [before]
    page.history.get(version=2).restore()
    assert place.query(stored) == [(*before[:3], '{"a": 1}', "null")]


def test_the_past_is_asked_for_inside_of_other_queries(folders: Place) -> None:
    rows = folders.rows("Folder")
    first, second = rows.create(name="first"), rows.create(name="second")
    folders.rows("Page").create(folder=first, number=1, text="old")
    then = now(folders)
    rows.filter(name="first").update(name="renamed")
    folders.rows("Page").all().delete()
    past = folders.model("Folder").objects.as_of(then).filter(pk=OuterRef("pk"))
    assert [row.name for row in rows.annotate(was=Subquery(past.values("name"))).filter(was="first")] == ["renamed"]
    assert set(rows.filter(Exists(past.filter(name="first")))) == {first}
    assert set(rows.exclude(Exists(past.filter(name="first")))) == {second}
    assert rows.filter(pk__in=folders.rows("Folder").as_of(then).values("pk")).count() == 2
    pages = folders.model("Page").objects.as_of(then).filter(folder_id=OuterRef("pk"))
    assert rows.filter(Exists(pages)).get() == first
    # Outside and inside are different times.
    before = folders.rows("Folder").as_of(then)
    present = folders.model("Folder").objects.filter(pk=OuterRef("pk"))
    found = before.annotate(name_now=Subquery(present.values("name")[:1])).order_by("pk")
    assert list(found.values_list("name", "name_now")) == [("first", "renamed"), ("second", "second")]
    assert list(before.filter(Exists(pages)).values_list("name", flat=True)) == ["first"]
    self_outer = folders.model("Folder").objects.as_of(then).filter(name=OuterRef("name"))
    assert list(before.filter(Exists(self_outer)).order_by("pk").values_list("name", flat=True)) == ["first", "second"]
    assert before.aggregate(number=Count("pk"))["number"] == 2


def test_a_key_of_two_columns_has_its_versions(folders: Place) -> None:
    folder = folders.rows("Folder").create(name="x")
    page = folders.rows("Page").create(folder=folder, number=1, text="a")
    other = folders.rows("Page").create(folder=folder, number=2, text="other")
    then = now(folders)
    folders.rows("Page").filter(number=1).update(text="b")
    assert [(item.version, item.text) for item in page.history] == [(1, "a")]
    assert list(other.history) == []
    assert page.history[0].diff() == {"text": ("a", "b")}
    assert folders.rows("Page").as_of(then).get(number=1).text == "a"
    folders.rows("Page").filter(pk=(folder.pk, 1)).delete()
    back = page.history.first().restore()
    assert (back.pk, back.text, back.version) == ((folder.pk, 1), "a", 3)
    with pytest.raises(Exception, match="cannot change"):
        folders.query("UPDATE pages SET number = 9 WHERE number = 1")


# -- Names -------------------------------------------------------------------------------------------------------------

NAMES = [
    ("order", "user", "select"),
    ("Order Lines", "Unit Price", "Sub Total"),
    ("it's", "it''s", "1 of 2"),
    ("größe", "ÄÖÜ", "日本"),
    (LONGEST, "b" * 63, "c" * 63),
    ("begun", "ended", "history"),
    ("NEW", "OLD", "NEW"),
    ("new_rows", "former", "entity"),
    ("old_rows", "TG_OP", "excluded"),
]
"""Name of a table, and of two of its columns."""


def test_any_name_that_a_table_may_have_will_do(place: Place) -> None:
    def declare(apps: Apps) -> None:
        for number, (table, one, other) in enumerate(NAMES):
            fields = {
                "key": models.IntegerField(primary_key=True, db_column=one),
                "value": models.TextField(db_column=other + "." if one == other else other),
                "parent": models.ForeignKey("self", models.SET_NULL, null=True, db_column=f"parent of {number}"),
            }
            define(apps, f"Odd{number}", table, **fields)

    place.evolve(declare)
    for number, (table, *_) in enumerate(NAMES):
        rows = place.rows(f"Odd{number}")
        row = rows.create(key=1, value="a")
        then = now(place)
        rows.filter(key=1).update(value="b", parent=row)
        rows.bulk_create([place.model(f"Odd{number}")(key=2, value="c")])
        rows.filter(key=1).delete()
        first = row.history.order_by("version").first()
        assert (first.value, first.operation) == ("a", "update"), table
        assert rows.as_of(then).get(value="a").pk == 1
        assert rows.filter(Exists(place.model(f"Odd{number}").objects.as_of(then).filter(value="a"))).count() == 1
        assert row.history.first().restore().value == "a"
        assert list(row.history.changed_between(then, now(place)).values_list("value", flat=True))[:1] == ["a"]


# -- Several databases -------------------------------------------------------------------------------------------------


@pytest.fixture
def places(unblocked: None) -> Iterator[tuple[Place, Place]]:
    """One project on two databases."""
    world = World()
    with new_site() as one, new_site() as other:
        made = world.evolve(declare)
        one.migrate(made)
        other.migrate([world.read_back(migration) for migration in made])
        yield Place(world, one), Place(world, other)


def test_each_database_has_its_own_past(places: tuple[Place, Place]) -> None:
    one, other = places
    for place, name in ((one, "here"), (other, "there")):
        place.rows("Folder").create(id=1, name=name)
    then = now(one)
    with history_context(actor="alice", reason="both"):
        one.rows("Folder").filter(id=1).update(name="here, later")
    with history_context(actor="bob"):
        other.rows("Folder").filter(id=1).update(name="there, later")
        other.rows("Folder").filter(id=1).delete()
    history = one.model("Folder").history
    told = {
        place.site.alias: list(history.using(place.site.alias).values_list("name", "operation", "actor", "reason"))
        for place in places
    }
    assert told == {
        one.site.alias: [("here", "update", "alice", "both")],
        other.site.alias: [("there", "update", "bob", None), ("there, later", "delete", "bob", None)],
    }
    assert [place.rows("Folder").as_of(then).get().name for place in places] == ["here", "there"]
    between = [history.using(place.site.alias).changed_between(then, now(one)).count() for place in places]
    assert between == [1, 2]
    row = one.rows("Folder").get(id=1)
    assert [version.name for version in row.history] == ["here"]
    assert row.history.get().diff() == {"name": ("here", "here, later")}
    first, _ = history.using(other.site.alias).order_by("version")
    back = first.restore()
    assert (back._state.db, back.name, back.version) == (other.site.alias, "there", 3)
    assert one.rows("Folder").get().name == "here, later"
