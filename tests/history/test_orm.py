"""The past in the ORM."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import NotSupportedError, models
from django.db.models import Count, F
from django.utils import timezone

from tests.history.conftest import Place
from tests.support.databases import reverse_rows


def now(place: Place) -> datetime.datetime:
    return place.query("SELECT clock_timestamp()")[0][0]


@pytest.fixture
def story(students: Place) -> tuple[Place, list[datetime.datetime]]:
    """Ann becomes Anna and leaves; Bob comes second. With the times between."""
    times = [now(students)]
    school = students.rows("School").create(name="x")
    students.rows().create(name="Ann", school=school, marks=["1.50"])
    times.append(now(students))
    students.rows().create(name="Bob")
    students.rows().filter(name="Ann").update(name="Anna", data={"a": 1})
    times.append(now(students))
    students.rows().filter(name="Anna").delete()
    times.append(now(students))
    return students, times


def test_rows_as_they_were_are_filtered_ordered_counted_and_sliced(story: Any) -> None:
    place, times = story
    names = [list(place.rows().as_of(when).order_by("name").values_list("name", flat=True)) for when in times]
    assert names == [[], ["Ann"], ["Anna", "Bob"], ["Bob"]]
    then = place.rows().as_of(times[2])
    assert then.count() == 2
    assert then.filter(name__startswith="A").get().data == {"a": 1}
    assert then.exclude(name="Bob").exists()
    assert [student.name for student in then.order_by("-name")[:1]] == ["Bob"]
    assert place.rows().filter(name="Ann").as_of(times[1]).get().marks[0] == 1.5
    assert then.aggregate(longest=Count("id", filter=F("size") + 0 == None or None))["longest"] == 2  # noqa: E711
    assert [student.school.name for student in then.filter(school__name="x").select_related("school")] == ["x"]
    assert set(place.rows().filter(id__in=then.values("id"))) == set(place.rows().all())
    assert then.union(place.rows().as_of(times[1])).count() == 3


def test_at_the_moment_of_a_change_the_new_version_is_there_and_no_other(story: Any) -> None:
    place, _ = story
    first, last = place.history()
    bob = place.rows().get()
    names = {
        when: [student.name for student in place.rows().as_of(when).order_by("name")]
        for when in (first.valid_from, bob.valid_from, first.valid_to, last.valid_to)
    }
    assert list(names.values()) == [["Ann"], ["Ann", "Bob"], ["Anna", "Bob"], ["Bob"]]
    assert first.valid_to == last.valid_from


def test_the_past_cannot_be_written(story: Any) -> None:
    place, times = story
    then = place.rows().as_of(times[2])
    refused: list[Callable[[], Any]] = [
        lambda: then.update(name=""),
        lambda: then.all().delete(),
        lambda: then.filter(id=1).delete(),
        lambda: then.create(name=""),
        lambda: then.bulk_create([place.model("Student")(name="")]),
        lambda: then.get_or_create(name="nobody"),
        lambda: then.update_or_create(name="Bob", defaults={"name": ""}),
        lambda: then.select_for_update(),
        lambda: place.rows().select_for_update().as_of(times[2]),
    ]
    for write in refused:
        with pytest.raises(TypeError, match="as they were"):
            write()
    assert then.get_or_create(name="Anna")[1] is False
    assert place.rows().count() == 1
    with pytest.raises(ValueError, match="time zone"):
        place.rows().as_of(datetime.datetime(2020, 1, 1))
    with pytest.raises(ValueError, match="time zone"):
        place.rows().as_of("2020-01-01")


def test_rows_of_different_times_are_not_taken_for_those_of_one(story: Any) -> None:
    place, times = story
    then = place.rows().as_of(times[2])
    for other in (place.rows(), place.rows().as_of(times[1])):
        for combine in (lambda one, two: one | two, lambda one, two: one & two, lambda one, two: one ^ two):
            with pytest.raises(TypeError, match="different times"):
                combine(then, other)
            with pytest.raises(TypeError, match="different times"):
                combine(other, then)
    both = then.filter(name="Anna") | place.rows().as_of(times[2]).filter(name="Bob")
    assert sorted(student.name for student in both) == ["Anna", "Bob"]
    with pytest.raises(NotSupportedError, match="as_of"):
        place.rows().union(place.rows()).as_of(times[2])


def test_whole_rows_as_they_were_are_grouped(story: Any) -> None:
    place, times = story
    found = place.rows().as_of(times[2]).select_related("school").annotate(number=Count("school__students"))
    assert [(row.name, row.number) for row in found.order_by("name")] == [("Anna", 0), ("Bob", 0)]
    assert place.rows().annotate(number=Count("school")).as_of(times[1]).get().data == {}
    assert place.rows("School").filter(students__in=found).count() == 0


def test_a_proxy_goes_back_in_time(story: Any) -> None:
    place, times = story
    meta = type("Meta", (), {"proxy": True, "apps": place.world.apps, "app_label": "shop"})
    proxy: Any = type("Pupil", (place.model("Student"),), {"__module__": __name__, "Meta": meta})
    assert isinstance(found := proxy.objects.using(place.site.alias).as_of(times[1]).get(), proxy)
    assert found.name == "Ann"
    assert isinstance(found, models.Model)


def test_versions_are_in_order_and_tell_what_has_changed(story: Any) -> None:
    place, _ = story
    first, last = place.history()
    assert (first.version, last.version) == (1, 2)
    assert first.diff() == {"name": ("Ann", "Anna"), "data": ({}, {"a": 1}), "size": (3, 4)}
    assert first.diff(last) == first.diff()
    assert last.diff()["name"] == ("Anna", None)
    bob = place.rows().get(name="Bob")
    assert list(bob.history) == []
    assert first.diff(bob)["name"] == ("Ann", "Bob")
    with pytest.raises(TypeError, match="another version or a Student"):
        first.diff("Bob")


def test_versions_are_in_order_however_they_came(students: Place) -> None:
    rows = [students.rows().create(name="a") for _ in range(2)]
    for name in "bcd":
        for row in reversed(rows):
            students.rows().filter(id=row.pk).update(name=name)
    reverse_rows(students.site.alias, "students_history")
    keys = [row.pk for row in rows]
    assert [(version.id, version.version) for version in students.history()] == [
        (key, number) for key in keys for number in (1, 2, 3)
    ]
    assert [[version.name for version in row.history] for row in rows] == [["a", "b", "c"]] * 2


def test_changes_of_a_period_are_found(story: Any) -> None:
    place, times = story
    history = place.model("Student").history.using(place.site.alias)
    assert [item.operation for item in history.changed_between(times[1], times[2])] == ["update"]
    assert [item.operation for item in history.changed_between(times[2], times[3])] == ["delete"]
    assert history.changed_between(times[0], times[1]).count() == 0
    first, last = history
    assert list(history.changed_between(first.valid_to, last.valid_to)) == [first]
    assert timezone.is_aware(history.get(version=1).valid_to)


def test_a_version_is_restored_also_of_a_row_that_is_deleted(story: Any) -> None:
    place, _ = story
    first, last = place.history()
    back = first.restore()
    assert (back.pk, back.name, back.version, back.school.name) == (first.id, "Ann", 3, "x")
    assert last.restore().name == "Anna"
    assert [item.version for item in back.history] == [1, 2, 3]


def test_asynchronous_code_restores_too(story: Any) -> None:
    place, _ = story
    assert async_to_sync(place.history()[0].arestore)().name == "Ann"
    assert place.rows().filter(name="Ann").exists()


def test_what_the_model_declares_comes_before_what_the_database_adds(students: Place) -> None:
    columns = students.query(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'students'::regclass AND attnum > 0 ORDER BY attnum"
    )
    names = [column for [column] in columns if column != "school_id"]  # Django's migrations add references last
    assert names == ["id", "name", "marks", "data", "size", "version", "valid_from"]
    assert students.model("Student")(1, "Ann").name == "Ann"
    versions = [field.name for field in students.model("StudentHistory")._meta.fields]
    assert versions[-6:] == ["version", "valid_from", "valid_to", "operation", "actor", "reason"]
