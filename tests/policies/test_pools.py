"""The rights of a request end with it, also where the next one gets the same connection: from a pool, or a kept one."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import IntegrityError, connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import RequestFactory
from django.urls import path
from django.utils.decorators import sync_and_async_middleware

import pgcraft_django
from pgcraft_django.middleware import RequestRoleMiddleware
from tests.policies.conftest import School

ALIAS = "with_a_pool"
ANN, BOB = 1, 2
TEXT = "what Ann has written down"
POOL = {"min_size": 1, "max_size": 1, "timeout": 10}
THREADS = pytest.mark.parametrize("project", ["pool", "kept"], indirect=True)
ASYNCHRONOUS = pytest.mark.parametrize("project", ["pool", "new"], indirect=True)  # each request has its own thread


class Roles(RequestRoleMiddleware):
    """For the database of these tests."""

    using = ALIAS


@sync_and_async_middleware
def person(get_response: Any) -> Any:
    """Log in as whom the request names."""

    def log_in(request: HttpRequest) -> None:
        number = request.GET.get("person")
        request.user = SimpleNamespace(pk=number, is_authenticated=number is not None)  # type: ignore[assignment]

    async def answer_async(request: HttpRequest) -> HttpResponse:
        log_in(request)
        return await get_response(request)  # type: ignore[no-any-return]

    def answer(request: HttpRequest) -> HttpResponse:
        log_in(request)
        return get_response(request)  # type: ignore[no-any-return]

    return answer_async if iscoroutinefunction(get_response) else answer


class Project:
    """A note of Ann's, a connection for one, and views that end in different ways."""

    def __init__(self, school: School) -> None:
        self.notes = school.apps.get_model("shop", "Note").objects.using(ALIAS)
        self.inside = threading.Event()
        """Whether a request has come as far as it is to be cancelled."""

    def state(self) -> Any:
        """Return the session, and what a request would have changed in it; another one has to be able to ask."""
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(
                "SELECT pg_backend_pid(), current_user, current_setting('role'), current_setting('search_path'),"
                " coalesce(current_setting('request.jwt.claims', true), '')"
            )
            found = cursor.fetchone()
        assert not connections[ALIAS].in_atomic_block
        connections[ALIAS].close_if_unusable_or_obsolete()
        return found

    # -- Views ---------------------------------------------------------------------------------------------------

    def see(self, request: HttpRequest) -> HttpResponse:
        return JsonResponse({"found": self.notes.filter(text=TEXT).count()})

    def fail(self, request: HttpRequest) -> HttpResponse:
        self.notes.create(text="another", person_id=ANN)
        raise ZeroDivisionError

    def break_a_rule(self, request: HttpRequest) -> HttpResponse:
        self.notes.create(text=TEXT, person_id=ANN)
        return HttpResponse()

    def roll_back(self, request: HttpRequest) -> HttpResponse:
        self.notes.create(text="another", person_id=ANN)
        transaction.set_rollback(True, using=ALIAS)
        return HttpResponse()

    async def see_later(self, request: HttpRequest) -> HttpResponse:
        return JsonResponse({"found": await self.notes.filter(text=TEXT).acount()})

    async def fail_later(self, request: HttpRequest) -> HttpResponse:
        await self.notes.acreate(text="another", person_id=ANN)
        raise ZeroDivisionError

    async def wait(self, request: HttpRequest) -> HttpResponse:
        await self.notes.acreate(text="another", person_id=ANN)
        self.inside.set()
        await asyncio.sleep(60)
        return HttpResponse()

    async def ask_slowly(self, request: HttpRequest) -> HttpResponse:
        self.inside.set()
        await sync_to_async(self._ask_slowly)()
        return HttpResponse()

    def ask_slowly_and_block(self, request: HttpRequest) -> HttpResponse:
        self.inside.set()
        self._ask_slowly()
        return HttpResponse()

    def _ask_slowly(self) -> None:
        with connections[ALIAS].cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.3)")


VIEWS = [
    name for name, item in vars(Project).items() if callable(item) and not name.startswith("_") and name != "state"
]
urlpatterns: list[Any] = []


@pytest.fixture
def project(school: School, settings: Any, request: pytest.FixtureRequest) -> Iterator[Project]:
    base = connections.settings[school.served.alias]
    options = {**base["OPTIONS"], **({"pool": POOL} if request.param == "pool" else {})}
    age = None if request.param == "kept" else 0
    connections.settings[ALIAS] = {**base, "CONN_MAX_AGE": age, "OPTIONS": options}
    settings.MIDDLEWARE = [f"{__name__}.person", f"{__name__}.Roles"]
    settings.ROOT_URLCONF = __name__
    settings.DEBUG_PROPAGATE_EXCEPTIONS = False
    project = Project(school)
    urlpatterns[:] = [path(name, getattr(project, name)) for name in VIEWS]
    project.notes.create(text=TEXT, person_id=ANN)
    connections[ALIAS].close_if_unusable_or_obsolete()
    yield project
    project.notes.all().delete()
    connections[ALIAS].close()
    if request.param == "pool":
        connections[ALIAS].close_pool()
    del connections[ALIAS]
    del connections.settings[ALIAS]


# -- One after the other -------------------------------------------------------------------------------------------


def wsgi(name: str, number: int | None = ANN) -> tuple[str, bytes]:
    """Make a request as a server with threads does; return the status and the content."""
    said: list[str] = []
    query = f"person={number}" if number else ""
    environ = RequestFactory()._base_environ(PATH_INFO=f"/{name}", QUERY_STRING=query)
    response = WSGIHandler()(environ, lambda status, headers: said.append(status))
    content = b"".join(response)
    response.close()
    return said[0][:3], content


@THREADS
@pytest.mark.parametrize("name", VIEWS[:6])
def test_the_next_request_on_the_connection_is_somebody_else(project: Project, name: str) -> None:
    before = project.state()
    for _ in range(2):
        assert wsgi(name)[0] == ("200" if name in ("see", "roll_back", "see_later") else "500")
        assert project.state() == before
        assert [wsgi("see", number)[1] for number in (ANN, BOB, None)] == [
            b'{"found": 1}',
            b'{"found": 0}',
            b'{"found": 0}',
        ]
    assert project.notes.count() == 1


@THREADS
def test_a_block_leaves_nothing_on_the_connection(project: Project) -> None:
    before = project.state()

    def ann() -> Any:
        return pgcraft_django.as_role("webuser", claims={"sub": str(ANN)}, using=ALIAS)

    for _ in range(2):
        with ann():
            assert project.notes.count() == 1
        with suppress(ZeroDivisionError), ann():
            raise ZeroDivisionError
        with suppress(IntegrityError), ann():
            project.notes.create(text=TEXT, person_id=ANN)
        with transaction.atomic(using=ALIAS), ann():
            project.notes.create(text="another", person_id=ANN)
            transaction.set_rollback(True, using=ALIAS)
        with suppress(ZeroDivisionError), transaction.atomic(using=ALIAS):
            with ann():
                project.notes.create(text="another", person_id=ANN)
            raise ZeroDivisionError
        assert project.state() == before
    assert project.notes.count() == 1


# -- Asynchronous, and cancelled -----------------------------------------------------------------------------------


async def asgi(name: str, number: int = ANN, disconnect: Awaitable[Any] | None = None) -> tuple[int, bytes]:
    """Make a request as an asynchronous server does, which tells Django when the browser has gone."""
    sent: list[Any] = []
    first = [{"type": "http.request", "body": b"", "more_body": False}]
    never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def receive() -> Any:
        if first:
            return first.pop()
        await (disconnect or never)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": f"/{name}", "query_string": f"person={number}".encode()}
    await ASGIHandler()({**scope, "headers": [], "http_version": "1.1", "server": ("testserver", 80)}, receive, send)
    status = next((message["status"] for message in sent if message["type"] == "http.response.start"), 0)
    return status, b"".join(message.get("body", b"") for message in sent)


@ASYNCHRONOUS
@pytest.mark.parametrize("name", VIEWS[:6])
def test_the_next_asynchronous_request_is_somebody_else(project: Project, name: str) -> None:
    before = project.state()

    async def ask() -> None:
        assert (await asgi(name))[0] == (200 if name in ("see", "roll_back", "see_later") else 500)
        assert [(await asgi("see_later", number))[1] for number in (ANN, BOB)] == [b'{"found": 1}', b'{"found": 0}']

    asyncio.run(ask())
    assert project.state()[1:] == before[1:]
    assert project.notes.count() == 1


@ASYNCHRONOUS
@pytest.mark.parametrize("name", VIEWS[6:])
def test_a_request_that_is_cancelled_leaves_nothing_behind(project: Project, name: str) -> None:
    before = project.state()

    async def ask() -> None:
        gone = asyncio.to_thread(project.inside.wait, 10)
        assert (await asgi(name, disconnect=gone))[0] == 0
        assert [(await asgi("see_later", number))[1] for number in (ANN, BOB)] == [b'{"found": 1}', b'{"found": 0}']

    asyncio.run(ask())
    assert project.inside.is_set()
    assert project.state()[1:] == before[1:]
    assert project.notes.count() == 1


@THREADS
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("step", ["__enter__", "__exit__"])
def test_a_request_that_is_cancelled_between_two_steps_leaves_nothing_behind(
    project: Project, monkeypatch: pytest.MonkeyPatch, step: str, times: int
) -> None:
    """While the role is taken, or the transaction ended, which go on in their thread."""
    original = transaction.Atomic.__dict__[step]

    def slowly(self: Any, *error: Any) -> Any:
        done = original(self, *error) if step == "__enter__" else None
        project.inside.set()
        time.sleep(0.2)
        return done if step == "__enter__" else original(self, *error)

    async def ask() -> None:
        monkeypatch.setattr(transaction.Atomic, step, slowly)
        made = RequestFactory().get("/")
        made.user = SimpleNamespace(pk=ANN, is_authenticated=True)  # type: ignore[assignment]
        running = asyncio.ensure_future(Roles(project.see_later)(made))  # type: ignore[arg-type]
        await asyncio.to_thread(project.inside.wait, 10)
        for _ in range(times):
            running.cancel()
            await asyncio.sleep(0.02)
        with pytest.raises(asyncio.CancelledError) as cancelled:  # as a log would hold it, with all that is in it
            await running
        monkeypatch.undo()
        found = await sync_to_async(project.state)()
        assert found[1:] == before[1:], cancelled
        await sync_to_async(lambda: connections[ALIAS].close())()

    before = project.state()
    connections[ALIAS].close()
    asyncio.run(ask())
    assert project.state()[1:] == before[1:]


@THREADS
def test_many_at_once_share_a_pool_of_one(project: Project) -> None:
    def look(number: int) -> tuple[int, bytes]:
        try:
            return number, wsgi("see", number)[1]
        finally:
            connections[ALIAS].close()

    with ThreadPoolExecutor(4) as pool:
        for number, found in pool.map(look, [ANN, BOB] * 6):
            assert found == (b'{"found": 1}' if number == ANN else b'{"found": 0}')
