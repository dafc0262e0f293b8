"""Who is logged in is who acts: for what a request to Django writes."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from pgcraft_django.attribution.context import Said, history_context


class HistoryContextMiddleware:
    """Opens a `history_context()` for each request. Override `get_actor` or `get_reason` to say something else.

    Both are called when something is written, so a request that only reads loads no session and no user for it.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response: Any = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer(request)
        with self._context(request):
            response: HttpResponseBase = self.get_response(request)
            return response

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        async with self._context(request):
            response: HttpResponseBase = await self.get_response(request)
            return response

    def _context(self, request: HttpRequest) -> history_context:
        return history_context(actor=lambda: self.get_actor(request), reason=lambda: self.get_reason(request))

    def get_actor(self, request: HttpRequest) -> Said | None:
        """Return who acts: the key of the user who is logged in, None for nobody."""
        user = getattr(request, "user", None)
        return str(user.pk) if user is not None and user.is_authenticated else None

    def get_reason(self, request: HttpRequest) -> Said | None:
        """Return why, None for no reason."""
        return None
