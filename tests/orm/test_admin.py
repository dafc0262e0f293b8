"""The admin lists, adds, changes and deletes."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.school.models import Course, Preset, Student, User
from tests.support.forms import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return client_of("root", superuser=True)


def url(model: str, action: str, *arguments: object) -> str:
    return reverse(f"admin:school_{model}_{action}", args=arguments)


def test_rows_are_listed_and_searched(admin: Client) -> None:
    for name in ("Alice", "Bob"):
        User.objects.create(name=name, email=f"{name}@school.example")
    listed = admin.get(url("user", "changelist"), {"q": "ali"})
    assert listed.status_code == 200
    assert [user.name for user in listed.context["cl"].result_list] == ["Alice"]
    course = Course.objects.create(code="math", title="M")
    Student.objects.create(name="Ann").courses.add(course)
    listed = admin.get(url("student", "changelist"), {"courses__code__exact": "math"})
    assert [student.name for student in listed.context["cl"].result_list] == ["Ann"]


def test_a_row_is_added_changed_and_deleted(admin: Client) -> None:
    course = Course.objects.create(code="math", title="M")
    ann = Student.objects.create(name="Ann")
    art = Course.objects.create(code="art", title="A")
    form = {"name": "Ben", "courses": [course.pk], "friends": [ann.pk]}
    assert admin.post(url("student", "add"), form).status_code == 302
    ben = Student.objects.get(name="Ben")
    assert (list(ben.courses.all()), list(ann.friends.all())) == ([course], [ben])
    assert admin.get(url("student", "change", ben.pk)).status_code == 200
    assert (
        admin.post(url("student", "change", ben.pk), {**form, "name": "Benny", "courses": [art.pk]}).status_code == 302
    )
    ben.refresh_from_db()
    assert (ben.name, list(ben.courses.all())) == ("Benny", [art])
    assert admin.post(url("student", "delete", ben.pk), {"post": "yes"}).status_code == 302
    assert list(Student.objects.all()) == [ann]


def test_a_form_begins_with_the_defaults_of_python(admin: Client) -> None:
    form = admin.get(url("preset", "add")).context["adminform"].form
    assert form["text"].initial == "plain"
    assert form["integer"].initial == -7
    assert form["level"].initial == Preset._meta.get_field("level").default
    assert form["words"].initial == []
