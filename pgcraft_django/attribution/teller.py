"""Tells PostgreSQL who acts and why, on the connection on which something is written.

Settings of a transaction are the way: they end with it, so that nothing stays on a connection that others use next.
PostgreSQL makes one transaction of statements that are sent at once, so a statement outside of a transaction is sent
behind the settings, in one text; where that cannot be, it gets a transaction for itself. Nothing is sent for what
cannot change rows, nor twice.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import ClientCursor
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Composable, Literal

from pgcraft_django.attribution.context import get_actor_and_reason, is_said
from pgcraft_django.attribution.statements import Effect, effect_of
from pgcraft_django.factories.actor import ACTOR_SETTING, REASON_SETTING

_TELL = f"""
WITH before AS MATERIALIZED (
    SELECT
        coalesce(pg_catalog.current_setting('{ACTOR_SETTING}', true), '') AS actor,
        coalesce(pg_catalog.current_setting('{REASON_SETTING}', true), '') AS reason
)
SELECT
    actor,
    reason,
    pg_catalog.set_config('{ACTOR_SETTING}', coalesce(%s::pg_catalog.text, actor), true),
    pg_catalog.set_config('{REASON_SETTING}', coalesce(%s::pg_catalog.text, reason), true)
FROM before
"""

_IN_FRONT = "SELECT pg_catalog.set_config({}, {}, true); "
_FOLLOWS = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|MERGE|SELECT|WITH)\s", re.IGNORECASE)

Execute = Callable[[Any, Any, bool, dict[str, Any]], Any]


@dataclass
class _Told:
    """What this transaction was told."""

    before: tuple[str, str]
    """The settings as they were, which hold again after the block."""
    values: tuple[str, str] | None
    """What they are now; None after a rollback to a savepoint, which may have changed them."""
    transaction: list[Any]
    """Django makes a new list of what is to be done on commit for each transaction, and after each rollback."""


class Teller:
    """Wraps the statements of one connection; see "Database instrumentation" in Django's documentation."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.told: _Told | None = None
        self.in_front: tuple[tuple[str | None, str | None], str] = (None, None), ""
        """What was said last, and the statements that set it."""

    def __call__(self, execute: Execute, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not is_said() and self.told is None:
            return execute(sql, params, many, context)
        cursor = context["cursor"].cursor
        driver = cursor.connection
        status = driver.pgconn.transaction_status
        if status == TransactionStatus.IDLE:
            self.told = None
        elif status != TransactionStatus.INTRANS:
            return execute(sql, params, many, context)  # which fails, and says why
        text = _text(sql, cursor)
        effect = effect_of(text)
        if effect is Effect.UNDOES and self.told:
            self.told.values = None
        elif effect in (Effect.CHANGES, Effect.UNKNOWN):
            said = get_actor_and_reason()
            if status == TransactionStatus.INTRANS or not driver.autocommit:
                self._tell(driver, *said)
            elif effect is Effect.CHANGES and said != (None, None):
                if not many and _can_be_second(text, cursor):
                    return self._execute_at_once(execute, text, params, context, said)
                with self.connection.wrap_database_errors, driver.transaction():
                    self._tell(driver, *said)
                    return execute(sql, params, many, context)
        return execute(sql, params, many, context)

    def _execute_at_once(
        self, execute: Execute, text: str, params: Any, context: dict[str, Any], said: tuple[str | None, str | None]
    ) -> Any:
        """Execute the statement behind the settings, and leave the cursor at its result."""
        cursor = context["cursor"].cursor
        if self.in_front[0] != said:
            self.in_front = said, _settings(said, cursor)
        settings = self.in_front[1]
        result = execute((settings if params is None else settings.replace("%", "%%")) + text, params, False, context)
        while cursor.nextset():
            pass
        return result

    def _tell(self, driver: Any, actor: str | None, reason: str | None) -> None:
        """Set for the transaction what differs from what it was told; None is what there was before."""
        told, transaction = self.told, self.connection.run_on_commit
        if told is None:
            if (actor, reason) == (None, None):
                return
        else:
            actor = told.before[0] if actor is None else actor
            reason = told.before[1] if reason is None else reason
            if told.transaction is transaction and told.values == (actor, reason):
                return
        with self.connection.wrap_database_errors:
            *before, actor, reason = driver.execute(_TELL, [actor, reason]).fetchone()
        self.told = _Told(told.before if told else tuple(before), (actor, reason), transaction)


def _can_be_second(text: str, cursor: Any) -> bool:
    """Tell whether the statement can stand behind others: it is one, and its parameters are put into its text."""
    return isinstance(cursor, ClientCursor) and ";" not in text and _FOLLOWS.match(text) is not None


def _settings(said: tuple[str | None, str | None], cursor: Any) -> str:
    """Return the statements that set what is said."""
    return "".join(
        SQL(_IN_FRONT).format(Literal(setting), Literal(value)).as_string(cursor)
        for setting, value in zip((ACTOR_SETTING, REASON_SETTING), said, strict=True)
        if value is not None
    )


def _text(sql: Any, cursor: Any) -> str:
    if isinstance(sql, Composable):
        return sql.as_string(cursor)
    return sql.decode(errors="replace") if isinstance(sql, bytes) else str(sql)


def attach(connection: BaseDatabaseWrapper) -> None:
    """Let a connection to PostgreSQL tell from now on."""
    wrappers = connection.execute_wrappers
    if connection.vendor == "postgresql" and not any(isinstance(wrapper, Teller) for wrapper in wrappers):
        # First, because `execute_wrapper()` takes away the last one when its block ends.
        wrappers.insert(0, Teller(connection))
