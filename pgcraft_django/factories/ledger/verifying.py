"""Whether balances are what the entries add up to, from the beginning or from a checkpoint on.

A checkpoint says what the entries up to an id added to each group. No entry up to that id may come later: the ledger is
locked for a moment, until nobody is booking, to read the last id.
"""

from dataclasses import dataclass
from typing import Any

from django.db import connections, models, transaction

from pgcraft_django.columns import column_name
from pgcraft_django.factories.ledger.shape import balances_of, is_double_entry, signed_value
from pgcraft_django.naming import quote_name, quote_names

PATIENCE = "2s"
"""How long a checkpoint waits for bookings that are under way: less than others, who wait behind it, do for a lock."""


@dataclass(frozen=True)
class Difference:
    """A balance that is not the sum of its entries, or an entry whose debits and credits differ."""

    what: str
    group: dict[str, Any]
    kept: Any
    expected: Any

    def __str__(self) -> str:
        group = ", ".join(f"{name} {'NULL' if value is None else value}" for name, value in self.group.items())
        return f"{self.what} of {group} is {self.kept}; by the entries it is {self.expected}."


def verify(model: type[models.Model], using: str, *, full: bool = False) -> list[Difference]:
    """Return what is not as the entries say, at one moment; an empty list if all is right.

    It begins at the last checkpoint, unless `full`. What looks wrong from there is looked at from the beginning.
    """
    found: list[Difference] = []
    for name, companion in balances_of(model).items():
        query = _balance_query(model, companion, full=full)
        found += _differences(using, name, companion.pgcraft_dimensions, query)
    if is_double_entry(model):
        found += _differences(using, "debits minus credits", ["entry_id"], _entry_query(model, full=full))
    return found if full or not found else verify(model, using, full=True)


def checkpoint(model: type[models.Model], using: str, *, full: bool = False) -> list[Difference]:
    """Verify, and if all is right, let the next time begin here. Returns what `verify()` does.

    Raises Django's `OperationalError` if somebody has been booking for longer than `PATIENCE`.
    """
    table = quote_name(model._meta.db_table)
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
        cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
        cursor.execute(f"SELECT coalesce(max(id), 0) FROM {table}")
        [(last,)] = cursor.fetchall()
        # A transaction around it gets its patience back, and does not keep others from booking until it ends.
        transaction.set_rollback(True, using=using)
    found = verify(model, using, full=full)
    for companion in balances_of(model).values() if not found else ():
        noted, columns = quote_name(companion.pgcraft_checkpoints._meta.db_table), _columns(companion)
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            cursor.execute(f"LOCK TABLE {noted} IN SHARE ROW EXCLUSIVE MODE")
            cursor.execute(
                f"INSERT INTO {noted} (through, {columns}, balance)"
                f" SELECT {int(last)}, {columns}, sum({signed_value(model)}) FROM {table}"
                f" WHERE id > {_through([companion])} AND id <= {int(last)} GROUP BY {columns}"
            )
    return found


def _differences(using: str, what: str, names: Any, query: str) -> list[Difference]:
    with connections[using].cursor() as cursor:
        cursor.execute(query)
        rows = cursor.fetchall()
    return [Difference(what, dict(zip(names, row, strict=False)), row[-2], row[-1]) for row in rows]


def _columns(companion: Any) -> str:
    return quote_names([column_name(companion._meta.get_field(name)) for name in companion.pgcraft_dimensions])


def _through(companions: list[Any]) -> str:
    """Return in SQL the id up to which all of them have a checkpoint."""
    ids = [
        f"coalesce((SELECT max(through) FROM {quote_name(companion.pgcraft_checkpoints._meta.db_table)}), 0)"
        for companion in companions
    ]
    return f"least({', '.join(ids)})" if ids else "0"


def _balance_query(model: type[models.Model], companion: Any, *, full: bool) -> str:
    # No join: NULL is a group like any other.
    columns = _columns(companion)
    noted = quote_name(companion.pgcraft_checkpoints._meta.db_table)
    before = "" if full else f" UNION ALL SELECT {columns}, 0, balance FROM {noted}"
    since = "" if full else f" WHERE id > {_through([companion])}"
    group = ", ".join(f"group_{number}" for number, _ in enumerate(companion.pgcraft_dimensions))  # whatever they are
    return (
        f"SELECT {group}, sum(kept), sum(expected) FROM ("
        f"SELECT {columns}, balance, 0 FROM {quote_name(companion._meta.db_table)}{before}"
        f" UNION ALL SELECT {columns}, 0, {signed_value(model)} FROM {quote_name(model._meta.db_table)}{since}"
        f") AS entries ({group}, kept, expected)"
        f" GROUP BY {group} HAVING sum(kept) <> sum(expected) ORDER BY {group}"
    )


def _entry_query(model: type[models.Model], *, full: bool) -> str:
    since = "" if full else f" WHERE id > {_through(list(balances_of(model).values()))}"
    return (
        f"SELECT entry_id, sum({signed_value(model)}), 0 FROM {quote_name(model._meta.db_table)}{since}"
        f" GROUP BY entry_id HAVING sum({signed_value(model)}) <> 0 ORDER BY entry_id"
    )
