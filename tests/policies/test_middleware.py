"""A request to Django runs with the rights of its role, however it is answered."""

import asyncio
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import RequestFactory

from pgcraft_django.errors import ConfigurationError, RoleError
from pgcraft_django.middleware import RequestRoleMiddleware
from tests.policies.conftest import School

ANN, BOB = 1, 2


class Rows:
    """A note of Ann's, and views that look for it."""

    def __init__(self, school: School) -> None:
        self.using = school.served.alias
        self.model = school.apps.get_model("shop", "Note")
        self.text = str(uuid.uuid4())
        self.model.objects.using(self.using).create(text=self.text, person_id=ANN)

    @property
    def found(self) -> Any:
        return self.model.objects.using(self.using).filter(text=self.text)

    def view(self, request: Any) -> HttpResponse:
        return JsonResponse({"found": self.found.count()})

    def stream(self, request: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(str(self.found.count()) for _ in range(2))

    def fail(self, request: Any) -> HttpResponse:
        self.found.count()
        raise ZeroDivisionError

    def middleware(self, view: Any) -> Any:
        return type("Middleware", (RequestRoleMiddleware,), {"using": self.using})(view)

    def role(self) -> Any:
        with connections[self.using].cursor() as cursor:
            cursor.execute("SELECT current_setting('role'), current_setting('request.jwt.claims', true)")
            return cursor.fetchone()


@pytest.fixture
def rows(school: School) -> Rows:
    return Rows(school)


def request(person: int | None) -> Any:
    made = RequestFactory().get("/")
    made.user = SimpleNamespace(pk=person, is_authenticated=person is not None)
    return made


def test_a_view_sees_what_is_its_user_s(rows: Rows) -> None:
    answer = rows.middleware(rows.view)
    found = [answer(request(person)).content for person in (ANN, BOB, None)]
    assert found == [b'{"found": 1}', b'{"found": 0}', b'{"found": 0}']
    assert rows.role()[0] == "none"


def test_what_is_streamed_is_too(rows: Rows) -> None:
    answer = rows.middleware(rows.stream)
    assert [b"".join(answer(request(person))) for person in (ANN, BOB)] == [b"11", b"00"]
    assert rows.role()[0] == "none"


def test_an_error_leaves_nothing_behind(rows: Rows) -> None:
    with pytest.raises(ZeroDivisionError):
        rows.middleware(rows.fail)(request(ANN))
    assert rows.role()[0] == "none"


def test_an_asynchronous_view_sees_the_same(rows: Rows) -> None:
    async def view(request: Any) -> HttpResponse:
        return JsonResponse({"found": await rows.found.acount()})

    async def fail(request: Any) -> HttpResponse:
        raise ZeroDivisionError

    async def stream(request: Any) -> StreamingHttpResponse:
        assert await rows.found.aupdate(text="changed") == 1
        return StreamingHttpResponse(iter(()))

    async def ask() -> list[bytes]:
        answer = rows.middleware(view)
        found = [(await answer(request(person))).content for person in (ANN, BOB)]
        with pytest.raises(ZeroDivisionError):
            await rows.middleware(fail)(request(ANN))
        with pytest.raises(RoleError, match="streams"):
            await rows.middleware(stream)(request(ANN))
        assert (await sync_to_async(rows.role)())[0] == "none"
        await sync_to_async(lambda: connections[rows.using].close())()
        return found

    assert asyncio.run(ask()) == [b'{"found": 1}', b'{"found": 0}']
    assert rows.found.count() == 1  # what is refused is taken back


def test_with_several_roles_the_project_chooses(rows: Rows, settings: Any) -> None:
    settings.PGCRAFT = {**settings.PGCRAFT, "ROLES": ["anon", "webuser", "staff"]}
    with pytest.raises(ConfigurationError, match="Override get_role"):
        rows.middleware(rows.view)(request(ANN))


def test_some_requests_keep_django_s_own_rights(rows: Rows) -> None:
    class Middleware(RequestRoleMiddleware):
        using = rows.using

        def get_role(self, request: Any) -> Any:
            return None if request.path == "/login/" else super().get_role(request)

    async def view(request: Any) -> HttpResponse:
        return JsonResponse({"found": await rows.found.acount()})

    async def ask(there: Any) -> bytes:
        answer = (await Middleware(view)(there)).content
        await sync_to_async(lambda: connections[rows.using].close())()
        return bytes(answer)

    for path, found in (("/login/", b'{"found": 1}'), ("/", b'{"found": 0}')):
        there = request(BOB)
        there.path = path
        assert Middleware(rows.view)(there).content == found
        assert asyncio.run(ask(there)) == found
