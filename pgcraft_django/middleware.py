"""Who is logged in is who acts: for what a request to Django writes, and for what it may see."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.db import DEFAULT_DB_ALIAS, transaction
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from pgcraft_django.attribution.context import Resumed, Said, history_context
from pgcraft_django.conf import get_config
from pgcraft_django.errors import ConfigurationError, RoleError
from pgcraft_django.request_role import as_role, user_role


class _Middleware:
    """What can stand among synchronous and asynchronous middleware."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response: Any = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        return self._answer_async(request) if self._is_async else self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        raise NotImplementedError

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        raise NotImplementedError


class HistoryContextMiddleware(_Middleware):
    """Opens a `history_context()` for each request. Override `get_actor` or `get_reason` to say something else.

    Both are called when something is written, so a request that only reads loads no session and no user for it.
    """

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        with self._context(request):
            response: HttpResponseBase = self.get_response(request)
        return self._streamed(request, response)

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        async with self._context(request):
            response: HttpResponseBase = await self.get_response(request)
        return self._streamed(request, response)

    def _streamed(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Let what is written while a response streams be said of the request, too."""
        if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
            steps = self._steps_async if response.is_async else self._steps
            response.streaming_content = steps(Resumed(self._context(request)), response.streaming_content)
        return response

    @staticmethod
    def _steps(context: Resumed, content: Any) -> Iterator[Any]:
        parts = iter(content)
        while True:
            with context:
                try:
                    part = next(parts)
                except StopIteration:
                    return
            yield part

    @staticmethod
    async def _steps_async(context: Resumed, content: Any) -> AsyncIterator[Any]:
        parts = aiter(content)
        while True:
            with context:
                try:
                    part = await anext(parts)
                except StopAsyncIteration:
                    return
            yield part

    def _context(self, request: HttpRequest) -> history_context:
        return history_context(actor=lambda: self.get_actor(request), reason=lambda: self.get_reason(request))

    def get_actor(self, request: HttpRequest) -> Said | None:
        """Return who acts: the key of the user who is logged in, None for nobody."""
        user = getattr(request, "user", None)
        return str(user.pk) if user is not None and user.is_authenticated else None

    def get_reason(self, request: HttpRequest) -> Said | None:
        """Return why, None for no reason."""
        return None


class RequestRoleMiddleware(_Middleware):
    """Runs each request's queries with the rights of its role, see `as_role()`. Override `get_role` to choose it.

    The whole view is a transaction, which is rolled back if the view fails. What runs before this middleware, such as
    the session and the login, has the rights of Django's own database user; so has what a response does after it,
    except for streaming its content.
    """

    using = DEFAULT_DB_ALIAS
    """The database."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Remember that the view failed: outside of it, Django has made a response of that."""
        request.pgcraft_has_failed = True  # type: ignore[attr-defined]

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        found = self.get_role(request)
        if found is None:
            plain: HttpResponseBase = self.get_response(request)
            return plain
        role, claims = found
        with as_role(role, claims=claims, using=self.using):
            response: HttpResponseBase = self.get_response(request)
            self._keep_or_undo(request)
        if isinstance(response, StreamingHttpResponse):
            response.streaming_content = self._stream(response.streaming_content, role, claims)
        return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        found = await sync_to_async(self.get_role)(request)
        if found is None:
            plain: HttpResponseBase = await self.get_response(request)
            return plain
        role, claims = found
        context = as_role(role, claims=claims, using=self.using)
        try:
            await _to_the_end(context.__enter__)
            response: HttpResponseBase = await self.get_response(request)
            if isinstance(response, StreamingHttpResponse):
                raise RoleError(
                    "A response that streams would go on without the rights of the request. Answer with a "
                    "HttpResponse, or use as_role() in the view instead of RequestRoleMiddleware."
                )
            await _to_the_end(self._keep_or_undo, request)
        except BaseException as error:
            await _to_the_end(context.__exit__, type(error), error, error.__traceback__)
            raise
        await _to_the_end(context.__exit__, None, None, None)
        return response

    def _keep_or_undo(self, request: HttpRequest) -> None:
        """Let the transaction be rolled back if the view failed."""
        if getattr(request, "pgcraft_has_failed", False):
            transaction.set_rollback(True, using=self.using)

    def _stream(self, content: Any, role: str, claims: Mapping[str, Any]) -> Iterator[Any]:
        with as_role(role, claims=claims, using=self.using):
            yield from content

    def get_role(self, request: HttpRequest) -> tuple[str, Mapping[str, Any]] | None:
        """Return the role and the claims of a request: `ANON_ROLE`, or, for who is logged in, the other one.

        None leaves the request the rights of Django's own database user: to log in and out, and to get tokens.

        Raises `ConfigurationError` if there is not exactly one other request role.
        """
        user = getattr(request, "user", None)
        if user is None or not user.is_authenticated:
            return get_config().anon_role, {}
        try:
            return user_role(), {"sub": str(user.pk)}
        except ConfigurationError as error:
            raise ConfigurationError(f"{error} Override get_role() of RequestRoleMiddleware.") from error


async def _to_the_end(function: Callable[..., Any], *arguments: Any) -> None:
    """Call a function in the thread that the queries of an asynchronous view run in.

    Who cancels the request meanwhile has to wait: in its thread the function would go on, and nobody undo what it does.
    """
    running = asyncio.ensure_future(sync_to_async(function)(*arguments))
    is_cancelled = False
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            is_cancelled = True
    running.result()
    if is_cancelled:
        raise asyncio.CancelledError
