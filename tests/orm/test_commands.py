"""Django's own commands know the tables, wherever they are."""

import datetime
import io
import json
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.school.models import Club, Course, Membership, Oddity, Preset, Sample, Seat, Student, User


def output(command: str, *arguments: object, **options: object) -> str:
    stream = io.StringIO()
    call_command(command, *arguments, stdout=stream, **options)
    return stream.getvalue()


@pytest.mark.django_db
def test_makemigrations_finds_nothing_to_do() -> None:
    assert "No changes" in output("makemigrations", check=True, dry_run=True)


@pytest.mark.django_db
def test_the_checks_find_nothing_but_what_only_python_knows() -> None:
    stream = io.StringIO()
    call_command("check", stdout=stream, stderr=stream)
    found = [line for line in stream.getvalue().splitlines() if "pgcraft_django." in line]
    assert all("(pgcraft_django.W" in line for line in found), found


@pytest.mark.django_db
def test_migrate_finds_nothing_to_do() -> None:
    assert "No migrations to apply" in output("migrate")


@pytest.mark.django_db
def test_sqlmigrate_prints_the_sql() -> None:
    sql = output("sqlmigrate", "school", "0001")
    for part in (
        'ALTER TABLE "public"."users" SET SCHEMA "private";',
        'CREATE VIEW "api"."users" WITH (security_invoker = true, security_barrier = false) AS',
        'REVOKE ALL ON FUNCTION "api"."courses"("source" "api"."students") FROM PUBLIC;',
    ):
        assert part in sql
    assert "SET SCHEMA" in output("sqlmigrate", "school", "0001", backwards=True)


@pytest.mark.django_db(transaction=True)
def test_what_is_dumped_can_be_loaded(tmp_path: Path) -> None:
    course = Course.objects.create(code="größe", title='it\'s "100%"')
    student = Student.objects.create(name="Ann", user=User.objects.create(name="Alice", password_hint="blue"))
    student.courses.add(course)
    student.friends.add(Student.objects.create(name="Ben"))
    Membership.objects.create(student=student, club=Club.objects.create(name="Chess"))
    Seat.objects.create(room="A", number=1)
    Oddity.objects.create(order=1, mixed="x")
    # Django writes milliseconds, and no fraction at all where it is 0.
    Preset.objects.create(favourite=course, moment=datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC))
    Sample.objects.create(words=["a", None], document={"a": 1})
    dumped = output("dumpdata", "school", indent=1)
    assert {"school.student", "school.membership", "school.oddity"} <= {row["model"] for row in json.loads(dumped)}
    (tmp_path / "dump.json").write_text(dumped)
    call_command("flush", interactive=False, verbosity=0, inhibit_post_migrate=True)
    assert output("dumpdata", "school").strip() == "[]"
    call_command("loaddata", str(tmp_path / "dump.json"), verbosity=0)
    assert output("dumpdata", "school", indent=1) == dumped
    assert Student.objects.create(name="Di").pk > student.pk


@pytest.mark.django_db
def test_inspectdb_sees_the_tables() -> None:
    found = output("inspectdb", "users", "students", "seats")
    for part in ("class Users(models.Model):", "class Students(models.Model):", "db_table = 'seats'", "password_hint"):
        assert part in found
    assert "CompositePrimaryKey('room', 'number')" in found
