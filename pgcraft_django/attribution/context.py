"""`history_context()`: what a block of a program says of all that it writes.

It is kept in a context variable, so each thread and each task has its own. Entering it asks no database; see `teller`.
"""

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar
from uuid import UUID

from django.utils.functional import Promise

from pgcraft_django.naming import check_text

Said = str | int | UUID | Promise
Source = Said | Callable[[], Said | None]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class _Level:
    """A block that is open, and the one around it."""

    block: "history_context"
    outer: "_Level | None"


_level: ContextVar[_Level | None] = ContextVar("pgcraft_django.history_context", default=None)


class history_context:  # noqa: N801 - it is used like a function
    """Say who acts and why for all that is written in a block: `with history_context(actor="alice", reason="typo"):`.

    For `async with`, and as a decorator of a function or a coroutine function. A block inside says something else, or
    only the part that differs. Both are texts, numbers or UUIDs, or functions that return one of these or None, and
    that are called when something is written. The `sub` of a request's token counts more.

    Raises `TypeError` for anything else, and `ValueError` for a text that PostgreSQL cannot hold.
    """

    def __init__(self, *, actor: Source | None = None, reason: Source | None = None) -> None:
        self.actor = actor if callable(actor) else _as_text("actor", actor)
        self.reason = reason if callable(reason) else _as_text("reason", reason)

    # Nothing is kept in the object: it can be used again, at the same time too.

    def __enter__(self) -> None:
        _level.set(_Level(self, _level.get()))

    def __exit__(self, *error: object) -> None:
        level = _level.get()
        while level is not None and level.block is not self:  # one inside, of a generator that waits, ends with it
            level = level.outer
        if level is not None:
            _level.set(level.outer)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__()

    def __call__(self, function: Function) -> Function:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__name__} is a generator: write `with history_context(…):` inside of it.")
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def inside(*arguments: Any, **keywords: Any) -> Any:
                with self:
                    return await function(*arguments, **keywords)

        else:

            @wraps(function)
            def inside(*arguments: Any, **keywords: Any) -> Any:
                with self:
                    return function(*arguments, **keywords)

        return inside  # type: ignore[return-value]


class Resumed:
    """A block that is left and entered again as it was, for what a generator does: also with the blocks inside of it.

    A generator runs in the context of whoever asks for its next part, who does other things between two parts.
    """

    def __init__(self, block: history_context) -> None:
        self._block = block
        self._inside: _Level | None = None
        self._outside: _Level | None = None

    def __enter__(self) -> None:
        self._outside = _level.get()
        if self._inside is None:
            self._block.__enter__()
        else:
            _level.set(self._inside)

    def __exit__(self, *error: object) -> None:
        self._inside = _level.get()
        _level.set(self._outside)


def is_said() -> bool:
    """Tell whether a block is open here."""
    return _level.get() is not None


def get_actor_and_reason() -> tuple[str | None, str | None]:
    """Return what is said here, None for what is not. Functions that know it are asked, and may ask a database."""
    level = _level.get()
    _level.set(None)  # what they write themselves is nobody's
    try:
        return _find(level, "actor"), _find(level, "reason")
    finally:
        _level.set(level)


def _find(level: _Level | None, part: str) -> str | None:
    while level is not None:
        said = getattr(level.block, part)
        text = _as_text(part, said() if callable(said) else said)
        if text is not None:
            return text
        level = level.outer
    return None


def _as_text(part: str, said: object) -> str | None:
    if said is None:
        return None
    if not isinstance(said, Said):
        raise TypeError(f"The {part} of history_context() is a text, not {said!r}. Write {part}=str(…), or user.pk.")
    text = str(said)
    check_text(text)
    return text
