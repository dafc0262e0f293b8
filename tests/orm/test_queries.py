"""Django reads and writes the tables of `PGCraftSimple` as those of any model."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Count, Exists, F, OuterRef, Prefetch, Q, Sum, Window
from django.db.models.functions import RowNumber

from tests.school.models import (
    Club,
    Course,
    Crafted,
    Level,
    Locker,
    Lunch,
    Membership,
    Oddity,
    Plain,
    Preset,
    Profile,
    Report,
    Seat,
    Student,
    Teacher,
    User,
)

pytestmark = pytest.mark.django_db


def test_rows_are_created_read_changed_and_deleted() -> None:
    user = User.objects.create(name="Alice", email="a@school.example")
    assert User.objects.get(email="a@school.example") == user
    user.name = "Alicia"
    user.save(update_fields=["name"])
    assert User.objects.filter(pk=user.pk).values_list("name", flat=True).get() == "Alicia"
    assert User.objects.update(name=F("email")) == 1
    assert User.objects.get_or_create(email="a@school.example", defaults={"name": "x"})[1] is False
    assert User.objects.update_or_create(email="b@school.example", defaults={"name": "Bob"})[1] is True
    assert user.delete() == (1, {"school.User": 1})
    assert [user.name for user in User.objects.all()] == ["Bob"]


def test_rows_are_written_in_bulk() -> None:
    users = User.objects.bulk_create(
        [User(name=f"u{n}", email=f"{n}@school.example") for n in range(50)], batch_size=20
    )
    assert all(user.pk for user in users)
    for user in users:
        user.name = user.name.upper()
    assert User.objects.bulk_update(users, ["name"]) == 50
    assert User.objects.in_bulk([users[7].pk])[users[7].pk].name == "U7"
    again = [User(name="new", email="0@school.example"), User(name="new", email="new@school.example")]
    User.objects.bulk_create(again, update_conflicts=True, unique_fields=["email"], update_fields=["name"])
    assert User.objects.filter(name="new").count() == 2
    User.objects.bulk_create([User(name="old", email="1@school.example")], ignore_conflicts=True)
    assert not User.objects.filter(name="old").exists()


def test_rows_are_aggregated_annotated_and_ranked() -> None:
    for price, amount in ((1, 2), (3, 4)):
        Lunch.objects.create(price=price, amount=amount, dish="soup")
    assert Lunch.objects.aggregate(all=Sum("total"), many=Count("id")) == {"all": Decimal(14), "many": 2}
    assert list(Lunch.objects.values("dish").annotate(n=Count("*")).values_list("dish", "n")) == [("soup", 2)]
    ranked = Lunch.objects.annotate(rank=Window(RowNumber(), order_by=F("total").desc())).order_by("rank")
    assert [lunch.total for lunch in ranked] == [Decimal(12), Decimal(2)]


def test_relations_are_followed_both_ways() -> None:
    alice = User.objects.create(name="Alice", email="a@school.example")
    ann, ben = (Student.objects.create(name=name, user=alice) for name in ("Ann", "Ben"))
    math = Course.objects.create(code="math", title="Mathematics")
    ann.courses.add(math)
    ann.friends.add(ben)
    ben.admires.add(ann)
    club = Club.objects.create(name="Chess")
    ann.clubs.add(club, through_defaults={"role": "president"})
    Profile.objects.create(user=alice, motto="x")
    Locker.objects.create(owner=alice, number=3)
    turing = Teacher.objects.create(name="Turing")
    turing.teaches.set([math])
    Report.objects.create(title="Annual", author=alice)

    assert list(math.students.all()) == [ann]
    assert list(ben.friends.all()) == [ann]
    assert list(ann.admirers.all()) == [ben]
    assert (alice.profile.motto, alice.lockers.get().number) == ("x", 3)
    assert list(club.members.all()) == [ann]
    assert Membership.objects.get(pk=(ann.pk, club.pk)).role == "president"
    assert Student.objects.select_related("user").get(courses__teachers=turing).user.name == "Alice"
    assert User.objects.filter(students__courses__title="Mathematics", report__title="Annual").get() == alice
    users = User.objects.prefetch_related(Prefetch("students", Student.objects.order_by("-name")))
    assert [student.name for student in users.get().students.all()] == ["Ben", "Ann"]
    has_course = Exists(Student.courses.through.objects.filter(student=OuterRef("pk")))
    assert list(Student.objects.filter(has_course)) == [ann]
    alice.delete()
    ann.refresh_from_db()
    assert ann.user is None
    assert not Locker.objects.exists()


def test_composite_natural_and_uuid_keys_are_keys() -> None:
    seat = Seat.objects.create(room="A", number=1)
    assert Seat.objects.get(pk=("A", 1)) == seat
    Seat.objects.filter(pk__in=[("A", 1)]).update(taken_by="Ann")
    assert Seat.objects.values_list("pk", "taken_by").get() == (("A", 1), "Ann")
    club = Club.objects.create(name="Chess")
    assert Club.objects.get(pk=club.pk).name == "Chess"
    with pytest.raises(IntegrityError), transaction.atomic():
        Course.objects.bulk_create([Course(code="x", title="1"), Course(code="x", title="2")])


def test_odd_names_are_no_obstacle() -> None:
    first = Oddity.objects.create(order=1, mixed="x")
    second = Oddity.objects.create(order=2, dotted="y", select=first)
    assert list(Oddity.objects.order_by("-order").values_list("order", "mixed", "size", "dotted")) == [
        (2, None, "XL", "y"),
        (1, "x", "XL", None),
    ]
    assert Oddity.objects.filter(Q(select__order=1) | Q(dotted="z")).get() == second


def test_rows_are_locked() -> None:
    student = Student.objects.create(name="Ann")
    with transaction.atomic():
        assert Student.objects.select_for_update(of=("self",), no_key=True).select_related("user").get() == student


def test_constraints_and_generated_fields_are_those_of_django() -> None:
    lunch = Lunch.objects.create(price=Decimal("1.25"), amount=2, dish="pie")
    assert (lunch.total, lunch.label) == (Decimal("2.50"), "PIE")
    with pytest.raises(IntegrityError, match="lunches_amount_positive"), transaction.atomic():
        Lunch.objects.create(price=1, amount=0, dish="air")


def test_a_raw_query_finds_the_tables() -> None:
    Student.objects.create(name="Ann")
    assert [student.name for student in Student.objects.raw("SELECT * FROM students")] == ["Ann"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM private.students")
        assert cursor.fetchall() == [("Ann",)]


# -- Models stay what they are -----------------------------------------------------------------------------------


def values(instance: models.Model) -> dict[str, object]:
    """Return what the instance holds in memory, but for what is different in every row."""
    return {
        field.attname: getattr(instance, field.attname)
        for field in instance._meta.concrete_fields
        if field.name not in {"id", "made", "changed"} and not (field.generated and instance._state.adding)
    }


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"text": "other", "integer": 8},
        {"decimal": "3.1", "integer": "9", "choice": Level.EASY},
        {"decimal": Decimal("3.10000"), "document": {"a": (1, 2)}},
        {"both": 5},
    ],
)
def test_a_saved_instance_is_the_same_as_one_of_a_plain_model(given: dict[str, object]) -> None:
    plain, crafted = Plain(**given), Crafted(**given)
    assert values(plain) == values(crafted)
    for instance in (plain, crafted):
        instance.save()
    assert repr(values(plain)) == repr(values(crafted))
    for instance in (plain, crafted):
        instance.integer = 10
        instance.save()
    assert repr(values(plain)) == repr(values(crafted))
    plain, crafted = Plain.objects.bulk_create([Plain(**given)])[0], Crafted.objects.bulk_create([Crafted(**given)])[0]
    assert repr(values(plain)) == repr(values(crafted))
    assert repr(values(Plain.objects.latest("id"))) == repr(values(Crafted.objects.latest("id")))


def test_the_same_number_of_queries_reads_the_same_columns_back() -> None:
    assert [field.name for field in Crafted._meta.db_returning_fields] == [
        field.name for field in Plain._meta.db_returning_fields
    ]


def test_a_default_of_python_wins_over_one_of_the_database() -> None:
    assert Crafted.objects.create().both == 1
    with connection.cursor() as cursor:
        cursor.execute('INSERT INTO private.crafted (changed) VALUES (now()) RETURNING "both"')
        assert cursor.fetchone() == (2,)


def test_a_callable_default_gives_each_instance_its_own() -> None:
    first, second = Preset(), Preset()
    first.document["a"] = 1
    first.words.append("x")
    assert (second.document, second.words) == ({}, [])


def test_instances_are_validated_as_ever() -> None:
    lunch = Lunch(price=Decimal("1.255"), amount=0, dish="x" * 5)
    with pytest.raises(ValidationError) as refused:
        lunch.full_clean()
    assert refused.value.message_dict.keys() == {"price", "__all__"}
    Crafted(document={"a": 1}).full_clean()
