"""What changed, period by period, and in a window that moves along."""

import datetime
from collections.abc import Sequence
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.db.models import Count, Sum, Window
from django.db.models.functions import Trunc
from django.utils import timezone

from pgcraft_django.factories.base import Instance
from pgcraft_django.factories.ledger.shape import balances_of, signed_expression, total_field, value_field
from pgcraft_django.messages import renamed
from pgcraft_django.naming import quote_name, quote_text

PERIODS = ("minute", "hour", "day", "week", "month", "quarter", "year")


class _Last(models.ValueRange):
    """The frame of a window: what was at most some time before a row."""

    def __init__(self, window: datetime.timedelta) -> None:
        super().__init__(start=None, end=0)
        self.window = window

    def window_frame_start_end(self, connection: Any, start: Any, end: Any) -> Any:
        return f"interval '{self.window.total_seconds():f} seconds' PRECEDING", "CURRENT ROW"


def _filled_sql(booked: str, period: str, dimensions: Sequence[str]) -> str:
    """Return the query for each period and group, from the query `booked` for those with entries."""
    names = "".join(f"{quote_name(name)}, " for name in dimensions)
    # In SQL, the beginning of a period is what a clock on the wall shows.
    zone = quote_text(timezone.get_current_timezone_name())
    step = "3 months" if period == "quarter" else f"1 {period}"
    groups = f"SELECT DISTINCT {names[:-2]} FROM booked" if names else "SELECT"
    within = f"PARTITION BY {names[:-2]} " if names else ""
    # Not by a join with what was booked: NULL is a group like any other, so it would compare each with each.
    return f"""
        WITH booked AS ({booked}),
        periods AS (
            SELECT period
            FROM (SELECT min(period) AS first, max(period) AS last FROM booked) AS bounds,
                generate_series(first, last, interval '{step}') AS period,
                LATERAL (VALUES (period), (period + interval '{step}' - interval '1 microsecond')) AS edge (moment)
            -- An hour that the clock leaves out in spring is none. But days, and hours, may begin or end in one.
            WHERE moment = moment AT TIME ZONE {zone} AT TIME ZONE {zone}
            GROUP BY period
        ),
        groups AS ({groups}),
        filled AS (
            SELECT period, {names}change, entries FROM booked
            UNION ALL
            SELECT period, {names}0, 0 FROM periods CROSS JOIN groups
        )
        SELECT period, {names}sum(change), max(entries), sum(sum(change)) OVER ({within}ORDER BY period)
        FROM filled
        GROUP BY {names}period
        ORDER BY {", ".join(f"filled.{quote_name(name)}" for name in ("period", *dimensions))}
    """


class RollingQuerySet(models.QuerySet[Instance]):
    """Entries, summed up over time."""

    def rollup(self, period: str, *dimensions: str) -> Any:
        """Return a queryset: a dict for each `period` and group in which something was booked, in order.

        It has the beginning of the `period` in the current time zone, the dimensions, the `change` of the balance, and
        the number of `entries`. `period` is minute, hour, day, week, month, quarter or year. Raises
        `ValueError` for anything else, and for a dimension that has one of these names.
        """
        if period not in PERIODS:
            raise ValueError(f"{period!r} is no period; the periods are {', '.join(PERIODS)}.")
        self._check_names(dimensions, "period", "change", "entries")
        start = Trunc("created_at", period, tzinfo=timezone.get_current_timezone())
        # Of values(), only these are in the way of other names: the ledger may have a field that is called `period`.
        rows = self.values("created_at", *dimensions).annotate(period=start)
        rows = rows.order_by("period", *dimensions).values("period", *dimensions)
        return rows.annotate(change=self._sum(), entries=Count("id"))

    def rollup_filled(self, period: str, *dimensions: str) -> list[dict[str, Any]]:
        """Return the same without gaps: a dict for each period from the first to the last, and each group.

        Each has a `balance` too, the sum of the changes until then.
        """
        dimensions = tuple(dict.fromkeys(dimensions))
        self._check_names(dimensions, "balance")
        try:
            sql, parameters = self.rollup(period, *dimensions).order_by().query.sql_with_params()
        except EmptyResultSet:  # such as pk__in=[]
            return []
        with connections[self.db].cursor() as cursor:
            cursor.execute(_filled_sql(sql, period, dimensions), parameters)
            found = cursor.fetchall()
        columns = ["period", *dimensions, "change", "entries", "balance"]
        current = timezone.get_current_timezone() if settings.USE_TZ else None
        total = total_field(value_field(self.model)).to_python
        rows = (
            (start.replace(tzinfo=current), *group, total(change), entries, total(balance))
            for start, *group, change, entries, balance in found
        )
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def rollup_pivoted(self, period: str, dimension: str) -> list[dict[str, Any]]:
        """Return a dict for each period without gaps: the `period`, and `changes`, a dict of value -> change."""
        found: dict[Any, dict[Any, Any]] = {}
        for row in self.rollup_filled(period, dimension):
            found.setdefault(row["period"], {})[row[dimension]] = row["change"]
        return [{"period": start, "changes": changes} for start, changes in found.items()]

    def rolling(self, window: datetime.timedelta, *dimensions: str) -> Self:
        """Return the entries in order, each with `rolling_change`: what its group changed in the `window` before it.

        Raises `ValueError` if the window is no `timedelta`, or a negative one.
        """
        if not isinstance(window, datetime.timedelta) or window < datetime.timedelta(0):
            raise ValueError(f"rolling() takes a timedelta, such as timedelta(days=7), and not {window!r}.")
        last = Window(
            self._sum(),
            partition_by=self._groups(dimensions),
            order_by=models.F("created_at").asc(),
            frame=_Last(window),
        )
        return self.annotate(rolling_change=last).order_by("id")

    def _sum(self) -> Any:
        return Sum(signed_expression(self.model))

    def _names(self, dimensions: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the fields, by default those of the first balance: without one, all is one group."""
        if dimensions:
            return tuple(map(self._field_name, dimensions))
        kept = balances_of(self.model).values()
        return next((tuple(companion.pgcraft_dimensions) for companion in kept), ())

    def _check_names(self, dimensions: tuple[str, ...], *added: str) -> None:
        """Raise `ValueError` if a dimension is called like something that the rows of the result have beside it."""
        for name in dimensions:
            if name in added:
                other = renamed(name, self.model)
                raise ValueError(
                    f"{name!r} is what the result itself calls one of its values. Write "
                    f'annotate({other}=F("{name}")) before, and "{other}" as the dimension.'
                )

    def _groups(self, dimensions: tuple[str, ...]) -> Any:
        """Return by what a window tells groups from each other, or None if there is but one."""
        return [models.F(name) for name in self._names(dimensions)] or None

    def _field_name(self, name: str) -> str:
        """Return the name of a field that is called so or, for a foreign key, `<name>_id`."""
        own = {field.attname: field.name for field in self.model._meta.local_concrete_fields}
        return str(own.get(name, name))
