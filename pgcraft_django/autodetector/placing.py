"""From a plan to operations, at their places among Django's own.

Drops come first, so that nothing stands in the way of a change to a table, and creates last, when every table is as
declared. Across apps, ours and Django's operations get dependencies on each other, from which Django cuts migrations
as it does for foreign keys.
"""

# django-stubs leaves out what subclasses of the autodetector work with.
# mypy: disable-error-code="attr-defined, misc, override, arg-type, union-attr"

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

from django.db.migrations.autodetector import OperationDependency
from django.db.migrations.operations import AlterField, DeleteModel, RemoveField, RenameModel
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from pgcraft_django.autodetector.after import After
from pgcraft_django.autodetector.diff import Change, Disturbance, Move, Plan, States, make_plan
from pgcraft_django.autodetector.kept import objects_of_table, without_dropped_tables
from pgcraft_django.autodetector.tables import (
    ModelKey,
    column,
    link_table,
    model_table,
    model_tables,
    old_field,
    quoted_table,
    referred_models,
    table_owners,
    table_schemas,
)
from pgcraft_django.declared import declared
from pgcraft_django.errors import MigrationError
from pgcraft_django.naming import DEFAULT_SCHEMA, quote_name
from pgcraft_django.objects import DatabaseObject, ObjectKey, Partitioning
from pgcraft_django.operations import Create, Drop, Replace, SetTableSchema
from pgcraft_django.recorded import recorded

_Place = tuple[str, Operation]
"""App label and operation."""
_Made = tuple[str, Operation, list[Change]]
"""App label, operation, and the changes it makes."""
_Moved = tuple[str, Operation, list[Move]]
"""App label, operation, and the tables it moves."""


class Placer:
    """Turns a plan into operations, among those that the autodetector has generated."""

    def __init__(self, detector: Any) -> None:
        self.detector = detector
        self.from_state = detector.from_state
        self.to_state = detector.to_state
        self.generated: dict[str, list[Operation]] = detector.generated_operations
        self.renamed: dict[tuple[str, str], str] = detector.renamed_models
        ignored = set(self.from_state.real_apps) - detector._convert_apps
        self.recorded = without_dropped_tables(recorded(self.from_state), self.from_state)
        self.declared = {
            label: objects for label, objects in declared(detector.declared_apps).items() if label not in ignored
        }
        for label, name in detector.kept_logs:
            kept = objects_of_table(model_table(self.from_state.models[label, name]), self.recorded.get(label, {}))
            self.declared[label] = {**kept, **self.declared.get(label, {})}

    def place(self) -> None:
        """Put our operations before and after those of each app."""
        self._keep_partitioned_in_place()
        django = {label: list(operations) for label, operations in self.generated.items()}
        altering = {label for label, operations in django.items() if operations}
        plan = make_plan(self.recorded, self.declared, self._disturbance(), altering)
        departures, arrivals = list(_moves(plan.moves_before)), list(_moves(plan.moves_after))
        made_whole, partitioned = list(_batches(plan.made_whole)), list(_batches(plan.partitioned))
        # Another table takes the place of the one that others hold on to, as if it moved.
        moves = [*departures, *arrivals, *_replaced([*made_whole, *partitioned])]
        drops = self._drops(plan)
        creates = self._creates(plan, _places(drops))
        for label, operation, changes in drops:
            self._order_before_django(label, operation, changes, django)
            for other, move in _movers(_tables(change.old for change in changes), moves, "old_schema"):
                _wait_for(move, other, [(label, operation)])
        for label, operation, changes in creates:
            self._order_after_django(label, operation, changes, django)
            _wait_for(operation, label, _movers(_tables(change.new for change in changes), moves, "new_schema"))
        early, shared = self._shared(plan, [*drops, *made_whole, *departures])
        leftovers = list(_batches(plan.leftovers))
        for label, operation, changes in leftovers:
            sharing = _sharing(label, changes, [*creates, *partitioned, *arrivals], self.declared)
            _wait_for(operation, label, [place for place in sharing if not self._takes_over(place[0], label)])
        before = [*early, *_plain(drops), *_plain(made_whole), *_plain(departures)]
        after = [*shared, *_plain(arrivals), *_plain(partitioned), *_plain(creates), *_plain(leftovers)]
        for label in sorted({label for label, _ in (*before, *after)}):
            self.generated[label] = [
                *(operation for owner, operation in before if owner == label),
                *django.get(label, ()),
                *(operation for owner, operation in after if owner == label),
            ]

    def _keep_partitioned_in_place(self) -> None:
        """Raise `MigrationError` if a partitioned table is to be renamed or moved: its partitions would stay behind."""
        places = table_schemas(self.declared)
        tables = table_owners(self.to_state)
        for label, objects in self.recorded.items():
            for key, item in objects.items():
                if not isinstance(item, Partitioning) or key in self.declared.get(label, {}):
                    continue
                if item.table not in tables:
                    how = f'Keep db_table = "{item.table}" in class Meta'
                elif places.get(item.table, DEFAULT_SCHEMA) != item.schema:
                    how = f'Keep schema = "{item.schema}" in class PGCraft'
                else:
                    continue
                raise MigrationError(
                    f"The table {item.table} is partitioned, and cannot be renamed or moved. {how}, or remove "
                    "partition_by in a migration before."
                )

    def _drops(self, plan: Plan) -> list[_Made]:
        made: list[_Made] = []
        places: dict[ObjectKey, _Place] = {}
        for layer in plan.drops:
            batches = list(_batches(layer))
            for label, operation, changes in batches:
                dependents = self._dependents({change.value.key for change in changes})
                _wait_for(operation, label, _found(dependents, places))
            places.update(_places(batches))
            made += batches
        return made

    def _creates(self, plan: Plan, dropped: dict[ObjectKey, _Place]) -> list[_Made]:
        made: list[_Made] = []
        places: dict[ObjectKey, _Place] = {}
        owners = {
            key: label for label, objects in self.declared.items() for key, item in objects.items() if not item.shared
        }
        for layer in plan.creates:
            batches = list(_batches(layer))
            for label, operation, changes in batches:
                needed = {key for change in changes for key in change.value.depends_on}
                _wait_for(operation, label, _found(needed, places))
                # What another app has dropped in this run may be made again here.
                _wait_for(operation, label, _found({change.value.key for change in changes}, dropped))
                settled = {owners[key] for key in needed - places.keys() if key in owners}
                operation._auto_deps += [After.make(other) for other in sorted(settled - {label})]
            places.update(_places(batches))
            made += batches
        return made

    def _shared(self, plan: Plan, drops: Sequence[tuple[str, Operation, Any]]) -> tuple[list[_Place], list[_Place]]:
        """Return what makes shared objects: first of all, what other apps' drops wait for; and in its usual place.

        Backwards it drops a shared object that looks unused, so what other apps have there must be back by then.
        """
        early: list[_Place] = []
        usual: list[_Place] = []
        for label, operation, changes in _batches(plan.shared):
            sharing = _sharing(label, changes, drops, self.recorded)
            others = [(other, drop) for other, drop in sharing if not self._takes_over(label, other)]
            for other, drop in others:
                _wait_for(drop, other, [(label, operation)])
            (early if others else usual).append((label, operation))
        return early, usual

    def _takes_over(self, new: str, old: str) -> bool:
        """Tell whether the app `new` makes something that `old` drops: then all of it comes after all of the other."""
        gone = self.recorded.get(old, {}).keys() - self.declared.get(old, {}).keys()
        return any(key in gone and not item.shared for key, item in self.declared.get(new, {}).items())

    def _dependents(self, keys: set[ObjectKey]) -> set[ObjectKey]:
        return {key for objects in self.recorded.values() for key, item in objects.items() if item.depends_on & keys}

    def _order_before_django(
        self, label: str, operation: Operation, changes: list[Change], django: dict[str, list[Operation]]
    ) -> None:
        """Let other apps' operations on the tables that dropped objects hold on to wait for the drop."""
        for _, item in self._touching(label, changes, django, old=True):
            item._auto_deps.append(After.make(label, operation))

    def _order_after_django(
        self, label: str, operation: Operation, changes: list[Change], django: dict[str, list[Operation]]
    ) -> None:
        """Let created objects wait for other apps' operations on the tables that they read."""
        for other, item in self._touching(label, changes, django, old=False):
            operation._auto_deps.append(After.make(other, item))
        for key in sorted(self._models_read(changes, old=False)):
            if key.app_label != label:
                operation._auto_deps.append(
                    OperationDependency(key.app_label, key.name, None, OperationDependency.Type.CREATE)
                )

    def _models_read(self, changes: list[Change], *, old: bool) -> set[ModelKey]:
        owners = self.old_owners if old else self.new_owners
        tables = _tables(change.old if old else change.new for change in changes)
        return {owners[table] for table in tables if table in owners}

    def _touching(
        self, label: str, changes: list[Change], django: dict[str, list[Operation]], *, old: bool
    ) -> Iterator[tuple[str, Operation]]:
        """Yield app label and operation of other apps' operations that concern what `changes` read."""
        state = self.from_state if old else self.to_state
        models = self._models_read(changes, old=old)
        referred = {other for key in models for other in referred_models(state, key)}
        for other in sorted(django):
            for item in django[other] if other != label else ():
                keys = self._model_keys(other, item)
                if keys & models or (isinstance(item, AlterField | RenameModel) and keys & referred):
                    yield other, item

    def _model_keys(self, label: str, operation: Operation) -> set[ModelKey]:
        """Return the model that an operation is about, by its names before and after this run."""
        attributes = ["model_name"] if hasattr(operation, "model_name") else ["name", "old_name", "new_name"]
        names = {str(getattr(operation, item)).lower() for item in attributes if hasattr(operation, item)}
        names |= {self.renamed[label, name].lower() for name in names if (label, name) in self.renamed}
        return {ModelKey(label, name) for name in names}

    @cached_property
    def old_owners(self) -> dict[str, ModelKey]:
        """Quoted table -> model, before this run."""
        return _owners(self.from_state, self.recorded)

    @cached_property
    def new_owners(self) -> dict[str, ModelKey]:
        """Quoted table -> model, after this run."""
        return _owners(self.to_state, self.declared)

    def _disturbance(self) -> Disturbance:
        """Collect the tables and columns that Django's operations of this run drop, and the columns of another comment.

        Together with a comment, Django sets the type anew, which PostgreSQL refuses under a view.
        """
        found = Disturbance()
        schemas = table_schemas(self.recorded)
        for label, operations in self.generated.items():
            for operation in operations:
                if not isinstance(operation, DeleteModel | RemoveField | AlterField):
                    continue
                keys = self._model_keys(label, operation) & self.from_state.models.keys()
                for model in (self.from_state.models[key] for key in keys):
                    if isinstance(operation, DeleteModel):
                        found.tables.update(quoted_table(table, schemas) for table in model_tables(model))
                        continue
                    name, field = old_field(self.detector, ModelKey(label, operation.model_name_lower), operation)
                    if isinstance(operation, AlterField) and field.db_comment == operation.field.db_comment:
                        continue
                    if not field.many_to_many:
                        table = quoted_table(model_table(model), schemas)
                        found.columns[table] = found.columns.get(table, frozenset()) | {column(name, field)}
                    elif link := link_table(model, name, field):
                        found.tables.add(quoted_table(link, schemas))
        return found


def _plain(made: Iterable[tuple[str, Operation, Any]]) -> list[_Place]:
    """Return app label and operation."""
    return [(label, operation) for label, operation, _ in made]


def _places(batches: Iterable[_Made]) -> dict[ObjectKey, _Place]:
    """Return where each object is dealt with."""
    return {change.value.key: (label, operation) for label, operation, changes in batches for change in changes}


def _sharing(
    label: str, changes: Iterable[Change], made: Iterable[tuple[str, Operation, Any]], state: States
) -> Iterator[_Place]:
    """Yield those of `made` whose apps have one of the shared objects in `changes`, which are of `label`, too.

    Between an app's drops and creates, a shared object can look unused though the app needs it.
    """
    keys = {change.value.key for change in changes}
    return ((other, operation) for other, operation, _ in made if other != label and keys & state[other].keys())


def _found(keys: set[ObjectKey], places: dict[ObjectKey, _Place]) -> list[_Place]:
    return [places[key] for key in sorted(keys) if key in places]


def _wait_for(operation: Operation, label: str, places: Iterable[_Place]) -> None:
    """Let `operation` of the app `label` come after operations of other apps."""
    operation._auto_deps += [After.make(other, item) for other, item in places if other != label]


def _tables(values: Iterable[DatabaseObject | None]) -> set[str]:
    """Return the quoted names of the tables that objects hold on to."""
    return {table for value in values if value for table in value.columns_held}


def _movers(tables: set[str], made: list[_Moved], schema: str) -> list[_Place]:
    """Return the operations that move one of `tables`, which are quoted with the schema at one end of the move."""
    return [
        (label, operation)
        for label, operation, moves in made
        if any(quote_name(getattr(move, schema), move.table) in tables for move in moves)
    ]


def _owners(state: ProjectState, objects: States) -> dict[str, ModelKey]:
    schemas = table_schemas(objects)
    return {quoted_table(table, schemas): ModelKey(*key) for table, key in table_owners(state).items()}


def _batches(changes: Iterable[Change]) -> Iterator[_Made]:
    """Yield the operations of one layer: for each app, runs of the same verb."""

    def verb(change: Change) -> tuple[bool, bool]:
        return change.old is None, change.new is None

    by_app = sorted(changes, key=lambda change: change.app_label)
    for (label, _), run in groupby(by_app, key=lambda change: (change.app_label, verb(change))):
        batch = list(run)
        old = [change.old for change in batch if change.old]
        new = [change.new for change in batch if change.new]
        operation = Replace(old, new) if old and new else Create(new) if new else Drop(old)
        operation._auto_deps = []
        yield label, operation, batch


def _replaced(made: Iterable[_Made]) -> Iterator[_Moved]:
    """Yield the operations that put another table in the place of one."""
    for label, operation, changes in made:
        keys = [change.value.key for change in changes]
        yield label, operation, [Move(label, key.name, key.schema, key.schema) for key in keys]


def _moves(moves: Iterable[Move]) -> Iterator[_Moved]:
    """Yield one operation for the tables of an app that make the same way."""
    ways: dict[tuple[str, str, str], list[Move]] = {}
    for move in moves:
        ways.setdefault((move.app_label, move.old_schema, move.new_schema), []).append(move)
    for (label, old_schema, new_schema), group in sorted(ways.items()):
        tables = sorted(move.table for move in group)
        operation = SetTableSchema(tables, old_schema=old_schema, new_schema=new_schema)
        operation._auto_deps = []
        yield label, operation, group
