"""Who is logged in is who acts."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import path

from pgcraft_django import history_context
from pgcraft_django.middleware import HistoryContextMiddleware
from tests.records.models import Document

PATH = "pgcraft_django.middleware.HistoryContextMiddleware"


class Named(HistoryContextMiddleware):
    """Another idea of who acts, and a reason."""

    def get_actor(self, request: HttpRequest) -> str:
        return f"name:{request.user}"

    def get_reason(self, request: HttpRequest) -> str:
        return request.path


def write(request: HttpRequest) -> HttpResponse:
    Document.objects.update(title=uuid4().hex)
    return HttpResponse()


def read(request: HttpRequest) -> HttpResponse:
    return HttpResponse(Document.objects.count())


async def write_later(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    await Document.objects.aupdate(title=uuid4().hex)
    return HttpResponse()


def fail(request: HttpRequest) -> HttpResponse:
    Document.objects.update(title="failed")
    raise ZeroDivisionError


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        with history_context(reason="stream"):
            yield b"first"
            write(request)

    return StreamingHttpResponse(parts())


async def stream_later(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        async with history_context(reason="stream"):
            yield b"first"
            await write_later(request)

    return StreamingHttpResponse(parts())


urlpatterns = [
    path("write", write),
    path("read", read),
    path("later", write_later),
    path("fail", fail),
    path("stream", stream),
    path("stream-later", stream_later),
]


@pytest.fixture(autouse=True)
def site(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    # First of all: whoever is logged in is asked for when something is written.
    settings.MIDDLEWARE = [PATH, *settings.MIDDLEWARE]


@pytest.fixture
def user(transactional_db: None) -> User:
    Document.objects.create(title="new")
    return User.objects.create_user("alice")


def last() -> tuple[str | None, str | None]:
    return Document.history.values_list("actor", "reason").last()


def test_the_actor_is_the_key_of_who_is_logged_in(user: User, client: Client) -> None:
    client.get("/write")
    assert last() == (None, None)
    client.force_login(user)
    client.get("/write")
    client.post("/write")
    assert last() == (str(user.pk), None)
    with pytest.raises(ZeroDivisionError):
        client.get("/fail")
    assert last() == (str(user.pk), None)
    Document.objects.update(title="afterwards")
    assert last() == (None, None)


def test_a_request_that_only_reads_asks_for_no_session(
    user: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(user)
    for atomic in (False, True):
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", atomic)
        with CaptureQueriesContext(connection) as found:
            assert client.get("/read").content == b"1"
        assert not [query for query in found if "session" in query["sql"] or "auth_user" in query["sql"]]


def test_another_idea_of_who_and_why(user: User, client: Client, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[1:], f"{__name__}.Named"]
    client.get("/write")
    assert last() == ("name:AnonymousUser", "/write")


def test_a_block_around_holds_for_what_a_request_does_not_say(user: User, client: Client) -> None:
    with history_context(actor="outside", reason="because"):
        client.get("/write")
        assert last() == ("outside", "because")
        client.force_login(user)
        client.get("/write")
        assert last() == (str(user.pk), "because")


def test_without_users_nobody_acts(user: User, client: Client, settings: Any) -> None:
    settings.MIDDLEWARE = [PATH]
    client.get("/write")
    assert last() == (None, None)


@pytest.mark.parametrize("address", ["/later", "/write"])
def test_an_asynchronous_server_is_served_too(user: User, address: str) -> None:
    async def ask() -> None:
        client = AsyncClient()
        await client.get(address)
        assert await sync_to_async(last)() == (None, None)
        await client.aforce_login(user)
        await client.get(address)

    async_to_sync(ask)()
    assert last() == (str(user.pk), None)


def test_what_is_written_while_a_response_streams_is_by_the_same_person(user: User, client: Client) -> None:
    client.force_login(user)
    parts = iter(client.get("/stream"))
    assert next(parts) == b"first"
    Document.objects.update(title="by the server")
    assert last() == (None, None)
    assert list(parts) == []
    assert last() == (str(user.pk), "stream")


def test_so_is_what_an_asynchronous_server_streams(user: User) -> None:
    async def ask() -> list[bytes]:
        client = AsyncClient()
        await client.aforce_login(user)
        return [part async for part in await client.get("/stream-later")]  # type: ignore[attr-defined]

    assert async_to_sync(ask)() == [b"first"]
    assert last() == (str(user.pk), "stream")


def test_requests_at_the_same_time_do_not_mix(user: User) -> None:
    async def ask(name: str) -> None:
        client = AsyncClient()
        await client.aforce_login(await User.objects.acreate(username=name))
        for _ in range(3):
            await client.get("/later")

    async def ask_all() -> None:
        await asyncio.gather(*(ask(name) for name in "abc"))

    async_to_sync(ask_all)()
    keys = {str(key) for key in User.objects.filter(username__in="abc").values_list("pk", flat=True)}
    found = list(Document.history.values_list("actor", flat=True))
    assert (set(found), len(keys)) == (keys, 3)
