"""Django's own queries with the rights of a request."""

import secrets
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.sessions.models import Session
from django.db import IntegrityError, ProgrammingError, connections, transaction
from django.db.models import Count

import pgcraft_django
from pgcraft_django import registry
from pgcraft_django.api import API
from pgcraft_django.errors import RoleError
from tests.policies.conftest import School
from tests.support.databases import as_administrator, run_sql

ANN, BOB = 1, 2


@pytest.fixture
def using(school: School) -> str:
    return school.served.alias


@pytest.fixture
def apps(school: School) -> Apps:
    return school.apps


@contextmanager
def person(number: int, using: str, **claims: Any) -> Iterator[None]:
    with pgcraft_django.as_role("webuser", claims={"sub": str(number), **claims}, using=using):
        yield


def state(using: str) -> Any:
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT current_user, current_setting('role'), current_setting('search_path'),"
            " nullif(current_setting('request.jwt.claims', true), '')"
        )
        return cursor.fetchone()


def test_the_orm_sees_and_writes_what_the_request_would(apps: Apps, using: str) -> None:
    note = apps.get_model("shop", "Note")
    mine, yours = (str(uuid.uuid4()) for _ in range(2))
    with person(ANN, using):
        note.objects.using(using).create(text=mine, person_id=ANN)
        assert list(note.objects.using(using).filter(text=mine).values_list("text", flat=True)) == [mine]
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic(using=using):
            note.objects.using(using).create(text=yours, person_id=BOB)
    with person(BOB, using):
        rows = note.objects.using(using).filter(text=mine)
        assert (rows.count(), rows.update(text="x"), rows.delete()[0]) == (0, 0, 0)
    assert note.objects.using(using).get(text=mine).person_id == ANN


def test_whole_rows_are_grouped(apps: Apps, using: str) -> None:
    note = apps.get_model("shop", "Note")
    mine = str(uuid.uuid4())
    with person(ANN, using):
        note.objects.using(using).create(text=mine, person_id=ANN)
        found = note.objects.using(using).filter(text=mine).annotate(number=Count("pk"))
        assert [(row.text, row.number) for row in found] == [(mine, 1)]
        with person(BOB, using):
            assert not list(note.objects.using(using).filter(text=mine).annotate(number=Count("pk")))
        assert found.all().get().number == 1
    assert connections[using].features.allows_group_by_selected_pks is True


def test_what_the_database_stamps_is_left_to_it(apps: Apps, using: str) -> None:
    pupil = apps.get_model("shop", "Pupil")
    with person(ANN, using):
        row = pupil.objects.using(using).create(name="a", person_id=ANN)
        assert (row.version, row.valid_from is not None) == (1, True)
        row.name = "b"
        row.save(using=using)
        row.refresh_from_db(using=using)
        assert (row.name, row.version) == ("b", 2)
        assert [version.actor for version in row.history] == [str(ANN)]


def test_a_test_may_ask_for_another_api(using: str, settings: Any) -> None:
    declared, seen = settings.PGCRAFT, []
    for schema in ("api", 'other "one"', "api"):
        settings.PGCRAFT = {**declared, "API_SCHEMA": schema}
        with person(ANN, using):
            seen.append(state(using)[2].partition(",")[0])
    assert seen == ['"api"', '"other ""one"""', '"api"']


def test_what_is_not_granted_is_refused(apps: Apps, using: str) -> None:
    person_model, log = apps.get_model("shop", "Person"), apps.get_model("shop", "OrderTransition")
    with person(ANN, using):
        with pytest.raises(ProgrammingError, match="persons"), transaction.atomic(using=using):
            list(person_model.objects.using(using).all())
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic(using=using):
            log.objects.using(using).create(id=1, to_state="x")
    with pgcraft_django.as_role("anon", using=using):
        assert apps.get_model("shop", "Note").objects.using(using).count() == 0
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic(using=using):
            apps.get_model("shop", "Note").objects.using(using).update(text="x")


def test_nothing_is_left_behind(using: str) -> None:
    before = state(using)
    with person(ANN, using):
        assert state(using)[0:2] == ("webuser", "webuser")
        with pgcraft_django.as_role("anon", using=using):
            assert state(using)[0] == "anon"
        assert state(using)[0] == "webuser"
        assert '"sub": "1"' in state(using)[3]
    assert state(using) == before
    with pytest.raises(ZeroDivisionError), person(ANN, using):
        raise ZeroDivisionError
    assert state(using) == before
    with pytest.raises(IntegrityError), person(ANN, using), connections[using].cursor() as cursor:
        cursor.execute("INSERT INTO notes (text, person_id) VALUES (NULL, 1)")
    assert state(using) == before
    with transaction.atomic(using=using):
        with pytest.raises(ZeroDivisionError), person(ANN, using):
            raise ZeroDivisionError
        with person(ANN, using):
            pass
        assert state(using) == before
    assert state(using) == before


def test_threads_do_not_share_a_role(apps: Apps, using: str) -> None:
    def look(number: int) -> Any:
        try:
            with person(number, using):
                return state(using)[3]
        finally:
            connections[using].close()

    with ThreadPoolExecutor(2) as pool:
        for number, found in enumerate(pool.map(look, range(20))):
            assert f'"sub": "{number}"' in found


@pytest.mark.django_db
@pytest.mark.parametrize(("apis", "is_told"), [([API("people")], True), ([API("people"), API()], False)])
def test_a_resource_with_another_name_than_the_table_is_told_of(
    apis: list[API], is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registrations", {})
    registry.register(Session, api=apis, app_label="school")
    with pytest.raises(ProgrammingError) as caught, pgcraft_django.as_role("webuser"):
        Session.objects.first()
    notes = getattr(caught.value, "__notes__", [])
    assert ['api = [API(name="people"), API()]' in note for note in notes] == [True] * is_told


@pytest.mark.parametrize("role", ["postgres", "authenticator", "", 'webuser"; RESET ROLE', "none", "staff"])
def test_only_request_roles_can_be_switched_to(using: str, role: str) -> None:
    with pytest.raises(RoleError, match="No request can switch"), pgcraft_django.as_role(role, using=using):
        pass


def test_another_vendors_database_is_told_from_the_one_that_is_meant(
    using: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections[using], "vendor", "sqlite")
    with pytest.raises(RoleError, match="is not PostgreSQL"):
        pgcraft_django.as_role("webuser", using=using).__enter__()


def test_a_database_user_that_may_not_switch_is_told_what_to_grant(school: School, using: str) -> None:
    role = f"pgcraft_plain_{secrets.token_hex(4)}"  # roles belong to the cluster, where other tests are at work
    run_sql(f"CREATE ROLE {role}")
    try:
        with as_administrator(using) as mine, connections[mine].cursor() as cursor:
            cursor.execute(f"SET SESSION AUTHORIZATION {role}")
            with (
                pytest.raises(RoleError, match='GRANT "webuser" TO'),
                pgcraft_django.as_role("webuser", using=mine),
            ):
                pass
    finally:
        run_sql(f"DROP ROLE {role}")
