"""Two catalogs side by side, and the SQL that makes the second like the first."""

import re
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

# Names that Django and PostgreSQL make up, of what table and column are called then. Django finds such a constraint, or
# index, by its columns.
MADE_UP = re.compile(r'(_(key|pkey|fkey|check)\d*|_[0-9a-f]{8}(_uniq|_like|_fk.*)?)"?$')


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
    expected, found = _without_namesakes(expected, found)
    surplus = sorted(_whole(found.keys() - expected.keys()), key=_place, reverse=True)
    return [*(_surplus(found, key) for key in surplus), *_missing_or_changed(expected, found)]


def _without_namesakes(expected: Catalog, found: Catalog) -> tuple[Catalog, Catalog]:
    """Leave out what is the same but for a name that was made up, as of a column that came back to a renamed table."""
    missing = {_unnamed(expected, key): key for key in expected.keys() - found.keys()}
    surplus = {_unnamed(found, key): key for key in found.keys() - expected.keys()}
    same = (missing.keys() & surplus.keys()) - {None}
    left_out = {side[one] for one in same for side in (missing, surplus)}
    return (
        {key: thing for key, thing in expected.items() if key not in left_out},
        {key: thing for key, thing in found.items() if key not in left_out},
    )


def _unnamed(catalog: Catalog, key: tuple[str, str]) -> str | None:
    """Return the SQL that makes a constraint or an index, without its name; None if that was not made up."""
    kind, name = key
    own = name.partition(" ON ")[0] if kind == "constraint" else name.partition(".")[2] if kind == "index" else ""
    return str(catalog[key].make).replace(own, "") if MADE_UP.search(own) else None


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
