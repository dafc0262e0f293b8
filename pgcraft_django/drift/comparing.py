"""Two catalogs side by side, and the SQL that makes the second like the first."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

from pgcraft_django.drift.reading import Catalog

# Made in this order, and taken away in the opposite one.
ORDER = (
    *("role", "membership", "schema", "collation", "type", "sequence", "table", "column", "constraint"),
    *("function", "aggregate", "operator", "operator family", "operator class"),
    *("text search parser", "text search template", "text search dictionary", "text search configuration"),
    *("view", "materialized view", "index", "view column default", "rule", "trigger"),
    *("owner", "row security", "policy"),
)


@dataclass(frozen=True)
class Difference:
    """Something that is otherwise than the migrations made it."""

    kind: str
    name: str
    problem: str
    """`missing`, `not declared` or `changed`."""
    expected: str | None
    found: str | None
    repair: str | None
    """SQL; None where a statement cannot mend it."""

    def describe(self) -> str:
        """Say it in a line: `changed: policy owner ON private.notes`."""
        return f"{self.problem}: {self.kind} {self.name}"


def differences(expected: Catalog, found: Catalog) -> list[Difference]:
    """Return in what `found` is not as `expected`, in the order in which it is mended."""
    surplus = sorted(_whole(found.keys() - expected.keys()), key=_place, reverse=True)
    return [*(_surplus(found, key) for key in surplus), *_missing_or_changed(expected, found)]


def _place(key: tuple[str, str]) -> tuple[int, str, str]:
    kind, name = key
    return ORDER.index(kind) if kind in ORDER else len(ORDER), kind, name


def _surplus(found: Catalog, key: tuple[str, str]) -> Difference:
    return Difference(*key, "not declared", None, found[key].state, found[key].unmake)


def _missing_or_changed(expected: Catalog, found: Catalog) -> Iterator[Difference]:
    missing = _whole(expected.keys() - found.keys())
    for key in sorted(missing | (expected.keys() & found.keys()), key=_place):
        wanted, there = expected[key], found.get(key)
        if there is None:
            yield Difference(*key, "missing", wanted.state, None, wanted.make)
        elif there.state != wanted.state:
            yield Difference(*key, "changed", wanted.state, there.state, wanted.make)


def _whole(keys: Set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Leave out what every table has of its own, where the table itself is among the keys."""
    wholes = {name for kind, name in keys if kind in ("table", "view", "materialized view", "function")}
    own = {"owner": wholes, "row security": wholes}
    return {
        (kind, name)
        for kind, name in keys
        if name not in own.get(kind, ()) and not (kind == "column" and name.rpartition(".")[0] in wholes)
    }
