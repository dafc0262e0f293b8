"""From recorded to declared state: what to drop, change and create, and in which order.

Everything that stands in the way of Django's own operations is dropped before them and put back after, together
with all that hangs on it: PostgreSQL drops a view's grants with the view without a word, so what is created again
is created with everything that was declared for it.

Order never depends on chance: files must be identical from run to run.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from pgcraft_django.naming import DEFAULT_SCHEMA
from pgcraft_django.objects import DatabaseObject, ObjectKey, Partitioning, Policy, TableGrant, TablePlacement
from pgcraft_django.recorded import ObjectMap

States = Mapping[str, ObjectMap]

# In this order things are made and read best; a kind of its own comes last.
KINDS = (
    *("role", "membership", "schema", "usage", "extension", "function"),
    *("relation", "row security", "policy", "comment", "grant", "execute"),
)


class Ref(NamedTuple):
    """An object in the migrations of an app. Shared objects are in several."""

    app_label: str
    key: ObjectKey


class Change(NamedTuple):
    """One step. Without `old` a creation, without `new` a drop, with both a change in place."""

    app_label: str
    old: DatabaseObject | None
    new: DatabaseObject | None

    @property
    def value(self) -> DatabaseObject:
        """The object that the step leaves behind or takes away."""
        return self.new or self.old  # type: ignore[return-value]


class Move(NamedTuple):
    """A table changes its schema."""

    app_label: str
    table: str
    old_schema: str
    new_schema: str


@dataclass
class Disturbance:
    """What Django's operations of this run take away, by quoted table name."""

    tables: set[str] = field(default_factory=set)
    columns: dict[str, frozenset[str]] = field(default_factory=dict)


@dataclass
class Plan:
    """The steps in the order of the fields.

    Drops and creates are in layers: a step depends, in other apps, on steps of earlier layers only.
    """

    drops: list[list[Change]] = field(default_factory=lambda: [[]])
    made_whole: list[Change] = field(default_factory=list)
    moves_before: list[Move] = field(default_factory=list)
    shared: list[Change] = field(default_factory=list)
    moves_after: list[Move] = field(default_factory=list)
    partitioned: list[Change] = field(default_factory=list)
    creates: list[list[Change]] = field(default_factory=lambda: [[]])
    leftovers: list[Change] = field(default_factory=list)


def sort_key(key: ObjectKey) -> tuple[str, str, int, ObjectKey]:
    """Keep the objects of one resource together, in an order that reads well."""
    return key.schema, key.name, _rank(key), key


def _rank(key: ObjectKey) -> int:
    return KINDS.index(key.kind) if key.kind in KINDS else len(KINDS)


def _shared_key(change: Change) -> tuple[int, ObjectKey, str]:
    return _rank(change.value.key), change.value.key, change.app_label


def make_plan(recorded: States, declared: States, disturbance: Disturbance, altering: Set[str] = frozenset()) -> Plan:
    """Return the steps from `recorded` to `declared`. `altering` are the apps with operations of Django's own."""
    plan = Plan()
    if recorded == declared and disturbance == Disturbance():
        return plan  # nothing has changed, which is what most runs find
    doomed = _doomed(recorded, declared, disturbance)
    doomed |= set(_bare(recorded, doomed, altering))
    departures = _plan_recorded(plan, recorded, declared, disturbance, doomed)
    kept = {Ref(app_label, key) for app_label, objects in recorded.items() for key in objects} - doomed
    for app_label, key, new in _sorted_objects(declared):
        if Ref(app_label, key) in kept or (new.shared and key in recorded.get(app_label, {})):
            continue
        if isinstance(new, TablePlacement):
            plan.moves_after.append(_arrival(app_label, new, departures, disturbance))
        elif new.shared:
            plan.shared.append(Change(app_label, None, new))
        elif isinstance(new, Partitioning):
            plan.partitioned.append(Change(app_label, None, new))
        else:
            plan.creates[0].append(Change(app_label, None, new))
    plan.moves_before = list(departures.values())
    plan.shared.sort(key=_shared_key)
    plan.leftovers.sort(key=_shared_key, reverse=True)
    plan.creates = _layers(plan.creates[0])
    plan.drops = [layer[::-1] for layer in reversed(_layers(plan.drops[0][::-1]))]
    return plan


def _sorted_objects(states: States) -> Iterator[tuple[str, ObjectKey, DatabaseObject]]:
    for app_label, objects in sorted(states.items()):
        for key in sorted(objects, key=sort_key):
            yield app_label, key, objects[key]


def _plan_recorded(
    plan: Plan, recorded: States, declared: States, disturbance: Disturbance, doomed: set[Ref]
) -> dict[str, Move]:
    """Plan what happens to what is there: it stays, shrinks and grows, or goes. Return the tables that leave."""
    departures: dict[str, Move] = {}
    for app_label, key, old in _sorted_objects(recorded):
        new = declared.get(app_label, {}).get(key)
        if Ref(app_label, key) not in doomed:
            stays = old.narrowed(new, disturbance.columns)
            if stays != old:
                plan.drops[0].append(Change(app_label, old, stays))
            if stays != new:
                plan.creates[0].append(Change(app_label, stays, new))
        elif isinstance(old, TablePlacement):
            departures[old.name] = Move(app_label, old.name, old.schema, DEFAULT_SCHEMA)
        elif old.shared:
            (plan.shared if new else plan.leftovers).append(Change(app_label, old, new))
        elif isinstance(old, Partitioning):
            plan.made_whole.append(Change(app_label, old, None))
        else:
            plan.drops[0].append(Change(app_label, old, None))
    return departures


def _arrival(app_label: str, new: TablePlacement, departures: dict[str, Move], disturbance: Disturbance) -> Move:
    """Return the move of a table to its place: straight from its former one if only the schema changes."""
    departure = departures.get(new.name)
    if departure and departure.app_label == app_label and not _is_dropped(departure, disturbance):
        del departures[new.name]
        return Move(app_label, new.name, departure.old_schema, new.schema)
    return Move(app_label, new.name, DEFAULT_SCHEMA, new.schema)


def _is_dropped(move: Move, disturbance: Disturbance) -> bool:
    placement = TablePlacement(schema=move.old_schema, name=move.table)
    return bool(placement.columns_held.keys() & disturbance.tables)


def _doomed(recorded: States, declared: States, disturbance: Disturbance) -> set[Ref]:
    """Return what cannot stay as it is, closed over all that depends on it."""
    remade = _partitioned(recorded) ^ _partitioned(declared)
    doomed = {
        Ref(app_label, key)
        for app_label, objects in recorded.items()
        for key, old in objects.items()
        if old.columns_held.keys() & disturbance.tables
        or (old.columns_held.keys() & remade and not isinstance(old, TablePlacement))
        or old.narrowed(declared.get(app_label, {}).get(key), disturbance.columns) is None
    }
    dependents: dict[ObjectKey, list[Ref]] = {}
    for app_label, objects in recorded.items():
        for key, old in objects.items():
            for needed in old.depends_on:
                dependents.setdefault(needed, []).append(Ref(app_label, key))
    queue = [ref for ref in doomed if not recorded[ref.app_label][ref.key].shared]
    while queue:
        for ref in dependents.get(queue.pop().key, ()):
            if ref not in doomed:
                doomed.add(ref)
                queue.append(ref)
    return doomed


def _bare(recorded: States, doomed: Set[Ref], altering: Set[str]) -> Iterator[Ref]:
    """Yield the grants on tables that are without a restrictive policy while migrations of another app run.

    The other policies would let through what it keeps back, and for good, if one of these migrations fails.
    """
    gone = [(ref.app_label, recorded[ref.app_label][ref.key]) for ref in doomed]
    tables = {
        (item.schema, item.table)
        for app_label, item in gone
        if isinstance(item, Policy) and not item.permissive and altering - {app_label}
    }
    for app_label, objects in recorded.items():
        for key, item in objects.items():
            if isinstance(item, TableGrant) and (item.schema, item.table) in tables:
                yield Ref(app_label, key)


def _partitioned(states: States) -> set[str]:
    """Return the quoted names of the tables that are partitioned: another table then has the name."""
    objects = (item for known in states.values() for item in known.values())
    return {table for item in objects if isinstance(item, Partitioning) for table in item.columns_held}


def _layers(changes: Iterable[Change]) -> list[list[Change]]:
    """Sort so that what is needed comes first; a new layer wherever something of another app is needed."""
    by_key = {change.value.key: change for change in changes}
    depth: dict[ObjectKey, int] = {}
    ordered: list[Change] = []

    def visit(change: Change) -> None:
        key = change.value.key
        if key in depth:
            return
        depth[key] = 0  # also ends a circle, which PostgreSQL would not have let us make
        needed = [by_key[other] for other in sorted(change.value.depends_on, key=sort_key) if other in by_key]
        for other in needed:
            visit(other)
        depth[key] = max(
            (depth[other.value.key] + (other.app_label != change.app_label) for other in needed), default=0
        )
        ordered.append(change)

    for change in by_key.values():
        visit(change)
    layers: list[list[Change]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for change in ordered:
        layers[depth[change.value.key]].append(change)
    return layers
