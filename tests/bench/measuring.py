"""How two sides are compared: alternately, so that what else the machine does slows down both."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import median, quantiles
from typing import Any, TypeVar

import psycopg

from tests.bench.report import Figure

Measured = TypeVar("Measured")

Pair = tuple[float, float]
"""One measurement of each side: pgcraft_django's and the other's."""


def medians(pairs: Sequence[Pair]) -> Pair:
    """Return the median of each side."""
    return median(ours for ours, _ in pairs), median(theirs for _, theirs in pairs)


def ratio(pairs: Sequence[Pair]) -> float:
    """Return the median of the ratios of neighbours: what slows the machine down for a while slows both."""
    return median(ours / theirs for ours, theirs in pairs)


def spread(values: Iterable[float]) -> tuple[float, float]:
    """Return between what the middle half of the values lies."""
    sorted_values = sorted(values)
    if len(sorted_values) < 2:
        return sorted_values[0], sorted_values[0]
    low, _, high = quantiles(sorted_values, n=4, method="inclusive")
    return low, high


def difference(pairs: Sequence[Pair]) -> float:
    """Return the median of the differences of neighbours."""
    return median(ours - theirs for ours, theirs in pairs)


def alternate(
    runs: int, ours: Callable[[], Measured], theirs: Callable[[], Measured]
) -> list[tuple[Measured, Measured]]:
    """Measure both sides `runs` times, each first every other time."""
    pairs = []
    for number in range(runs):
        if number % 2:
            other = theirs()
            pairs.append((ours(), other))
        else:
            pairs.append((ours(), theirs()))
    return pairs


def compare(pairs: Sequence[Pair], **about: Any) -> Figure:
    """Return the ratio of both sides as a figure; `about` is the rest of it."""
    ours, theirs = medians(pairs)
    middle = spread(ours / theirs for ours, theirs in pairs)
    return Figure(value=ratio(pairs), spread=middle, unit="x", ours=ours, theirs=theirs, runs=len(pairs), **about)


def rate(works: Sequence[Callable[[], object]]) -> float:
    """Return how many of `works` are done in a second."""
    began = time.perf_counter()
    for work in works:
        work()
    return len(works) / (time.perf_counter() - began)


def statements(database: "psycopg.Connection[Any]", sql: str, parameters: Sequence[Mapping[str, Any]]) -> float:
    """Execute the statement with each of `parameters`; return how many are done in a second."""
    return rate([partial(database.execute, sql, values, prepare=True) for values in parameters])
