"""Random sequences of edits: after each, the migrations are complete, true and reversible, and no row is lost."""

import itertools
import os
import re
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError
from django.db.migrations.questioner import MigrationQuestioner
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from pgcraft_django.api import API
from tests.support.catalog import Catalog, differences, meaning
from tests.support.project import NUMBERS, FieldSpec, MachineSpec, ModelSpec, Project, build_project
from tests.support.world import Site, World, new_site

SCHEMAS = ("private", "other")
KINDS = ("text", "50", "80", *NUMBERS)
RENAMED = MigrationQuestioner({"ask_initial": True, "ask_rename": True, "ask_rename_model": True})
NOT_RENAMED = MigrationQuestioner({"ask_initial": True})

grants = st.dictionaries(
    st.sampled_from(["anon", "webuser"]),
    st.lists(st.sampled_from(["select", "insert", "update", "delete"]), min_size=1, unique=True),
    max_size=2,
)
kinds = st.sampled_from(KINDS)
machines = st.builds(
    MachineSpec,
    states=st.lists(st.sampled_from(["new", "open", "it's 100%", "done"]), min_size=2, unique=True).map(tuple),
    field=st.sampled_from(["state", "Phase"]),
    guarded=st.booleans(),
    extras=st.frozensets(st.sampled_from(["note", "Größe"])),
    granted=st.booleans(),
)

factories = st.one_of(
    st.just({}),
    st.just({"has_history": True}),
    st.just({"has_entities": True}),
    st.just({"balance": ()}),
    machines.map(lambda machine: {"machine": machine}),
)
"""What makes a model one of a factory."""


def differing(left: Site, right: Site | Catalog) -> dict[str, Any]:
    """Return in what the catalogs of two databases differ, but for partitions, which are there for their rows."""
    both = [left.catalog(), right.catalog() if isinstance(right, Site) else right]
    return differences(*(meaning({kind: without_partitions(rows) for kind, rows in item.items()}) for item in both))


def without_partitions(rows: frozenset[tuple[Any, ...]]) -> frozenset[tuple[Any, ...]]:
    """Leave out what belongs to a partition for a time."""
    return frozenset(row for row in rows if not re.search(r"_(before|p\d{8})$", str(row[1])))


def plain_fields(spec: ModelSpec) -> list[str]:
    """Return the fields that are columns without being references."""
    return sorted(name for name, item in spec.fields.items() if not item.target)


class Edits(RuleBasedStateMachine):
    """A project that is edited, and a database that follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count(1)
        self.project: Project = {}
        self.world = World()
        self.sites = ExitStack()
        self.site = self.sites.enter_context(new_site())
        self.straight = self.sites.enter_context(new_site())
        """A database that never goes back."""

    def teardown(self) -> None:
        try:
            assert differing(self.site, self.straight) == {}
            for _ in self.world.order:
                self.site.unmigrate()
            with new_site() as empty:
                assert differing(self.site, empty) == {}
        finally:
            self.sites.close()

    def edit(self, project: Project, questioner: MigrationQuestioner = NOT_RENAMED) -> None:
        """Make `project` the project, and check all that must hold after any edit."""
        before, former = self.site.catalog(), self.project
        self.project = project
        made = self.world.evolve(lambda apps: build_project(project, apps), questioner)
        rows, values = self.rows(), self.values(former, project)
        self.site.migrate(made)
        for _ in made:
            self.site.unmigrate()
        assert differing(self.site, before) == {}
        assert self.site.drift(self.straight) == []
        self.site.migrate(made)
        self.straight.migrate(made)
        assert self.site.drift(self.straight) == []
        scratch = World()
        scratch.evolve(lambda apps: build_project(project, apps))
        with new_site() as other:
            other.migrate(scratch.order)
            assert differing(self.site, other) == {}
        after = self.rows()
        assert {key: after[key] for key in rows if key in after} == {key: rows[key] for key in rows if key in after}
        assert self.values(project, former) == values
        for spec in project.values():
            if spec.balance is not None:
                self.check_balance(spec)
                continue
            self.insert(spec, {name: str(next(self.numbers)) for name in plain_fields(spec)})
            self.insert(spec, {})
            if spec.has_history:
                self.check_history(spec)
            if spec.has_entities:
                self.check_entities(spec)
            if spec.machine:
                self.check_machine(spec, spec.machine)

    def insert(self, spec: ModelSpec, values: dict[str, Any]) -> None:
        """Add a row with these values."""
        if not values:
            self.site.query(f'INSERT INTO "{spec.table}" DEFAULT VALUES')
            return
        columns, places = ", ".join(f'"{name}"' for name in values), ", ".join(["%s"] * len(values))
        self.site.query(f'INSERT INTO "{spec.table}" ({columns}) VALUES ({places})', list(values.values()))

    def check_history(self, spec: ModelSpec) -> None:
        """A row that is deleted leaves a version with all its columns."""
        [(key,)] = self.site.query(f'SELECT max(id) FROM "{spec.table}"')
        columns = ", ".join(f'"{name}"' for name in self.columns_of(spec))
        before = self.site.query(f'SELECT {columns} FROM "{spec.table}" WHERE id = {key}')
        self.site.query(f'DELETE FROM "{spec.table}" WHERE id = {key}')
        assert before == self.site.query(f'SELECT {columns} FROM "{spec.table}_history" WHERE id = {key}')

    def check_entities(self, spec: ModelSpec) -> None:
        """Each attribute of a row can be changed, and the log has a line for it."""
        [(key,)] = self.site.query(f'SELECT max(id) FROM "{spec.table}"')
        for name in plain_fields(spec):
            self.site.query(f'UPDATE "{spec.table}" SET "{name}" = %s WHERE id = {key}', ["8"])
            self.site.query(f'UPDATE "{spec.table}" SET "{name}" = %s WHERE id = {key}', ["7"])
        line = f"SELECT attribute FROM \"{spec.table}_attribute\" WHERE id = {key} AND new_value #>> '{{}}' = '8'"
        assert {name for (name,) in self.site.query(line)} == set(plain_fields(spec))

    def values(self, project: Project, other: Project) -> dict[str, Any]:
        """Return what rows, former versions and log lines have in the columns of both projects."""
        found = {}
        for key, spec in project.items():
            if key not in other:
                continue
            before = other[key]
            both = [name for name in plain_fields(spec) if before.fields.get(name) == spec.fields[name]]
            if spec.balance is not None and before.balance is not None:
                both += ["entry_id", "value", "created_at"]
            found[key] = [self.read(spec.table, ["id", *both])]
            if spec.has_history and before.has_history:
                stamps = ["id", "version", "valid_from", "valid_to"]
                found[key].append(self.read(f"{spec.table}_history", [*stamps, *both]))
            if spec.has_entities and before.has_entities:
                found[key].append(self.log_of_attributes(spec, both))
            if spec.machine and before.machine:
                extras = sorted(spec.machine.extras & before.machine.extras)
                found[key].append(self.read(f"{spec.table}_transition", ["id", "to_state", "at", *extras]))
        return found

    def read(self, table: str, columns: list[str]) -> list[tuple[object, ...]]:
        """Return the rows of a table."""
        named = ", ".join(f'"{name}"' for name in columns)
        return sorted(self.site.query(f'SELECT {named} FROM "{table}"'), key=repr)

    def log_of_attributes(self, spec: ModelSpec, names: list[str]) -> list[tuple[object, ...]]:
        """Return the lines about these attributes."""
        lines = f'SELECT id, attribute, new_value FROM "{spec.table}_attribute" WHERE attribute = ANY(%s)'
        return sorted(self.site.query(lines, [names]), key=repr)

    def check_machine(self, spec: ModelSpec, machine: MachineSpec) -> None:
        """A row goes from state to state and nowhere else, and its log says so."""
        [(key,)] = self.site.query(f'SELECT max(id) FROM "{spec.table}"')
        step = f'UPDATE "{spec.table}" SET "{machine.field}" = %s WHERE id = {key}'
        for state in machine.states[1:]:
            self.site.query(step, [state])
        with pytest.raises(IntegrityError, match="cannot become"):
            self.site.query(step, [machine.states[0]])
        log = self.site.query(f'SELECT to_state FROM "{spec.table}_transition" WHERE id = {key} ORDER BY at')
        assert log == [(state,) for state in machine.states]

    def check_balance(self, spec: ModelSpec) -> None:
        """An entry is added to a balance, which is the sum of all entries of the group, wherever they are."""
        if spec.partition_by:
            self.site.query(f'SELECT "{spec.table}_partitions"(1)')
        self.site.query(f'INSERT INTO "{spec.table}" (value) VALUES (3), (-1)')
        if spec.balance:
            model = self.world.apps.get_model(spec.label, spec.name)
            columns = ", ".join(f'"{model._meta.get_field(name).column}"' for name in spec.balance)
            sums = f'SELECT min(id), {columns}, sum(value) FROM "{spec.table}" GROUP BY {columns}'
            kept = f'SELECT id, {columns}, balance FROM "{spec.table}_balance"'
            assert sorted(self.site.query(sums), key=repr) == sorted(self.site.query(kept), key=repr)

    def columns_of(self, spec: ModelSpec) -> list[str]:
        """Return the columns of the model's table."""
        return sorted(row[2] for row in self.site.catalog()["columns"] if row[:2] == (spec.schema, spec.table))

    def rows(self) -> dict[str, Any]:
        """Return the keys of the rows of each model."""
        found = {}
        tables = {row[1] for row in self.site.catalog()["relations"] if row[2] == "r" or row[0] in (*SCHEMAS, "public")}
        for key, spec in self.project.items():
            if spec.table in tables:
                found[key] = self.site.query(f'SELECT id FROM "{spec.table}" ORDER BY id')
        return found

    def pick(self, data: st.DataObject) -> tuple[str, ModelSpec]:
        key = data.draw(st.sampled_from(sorted(self.project)))
        return key, self.project[key]

    def change(self, key: str, spec: ModelSpec, questioner: MigrationQuestioner = NOT_RENAMED) -> None:
        self.edit({**self.project, key: spec}, questioner)

    @initialize(one=factories, other=factories)
    def begin(self, one: dict[str, Any], other: dict[str, Any]) -> None:
        fields = {"alpha": FieldSpec(), "beta": FieldSpec("50", null=False)}
        title = FieldSpec("text", help_text="Title, 100% 'quoted'")
        self.edit(
            {
                "a": ModelSpec("shop", "Person", "people", fields).but(**one),
                "b": ModelSpec("library", "Book", "books", {"title": title}).but(**other),
            }
        )

    @precondition(lambda self: len(self.project) < 4)
    @rule(
        label=st.sampled_from(["shop", "library"]), schema=st.sampled_from(SCHEMAS), kind=kinds, history=st.booleans()
    )
    def add_model(self, label: str, schema: str, kind: str, history: bool) -> None:
        number = next(self.numbers)
        fields = {"first": FieldSpec(kind)}
        spec = ModelSpec(label, f"Model{number}", f"table {number}", fields, schema, has_history=history)
        self.edit({**self.project, f"m{number}": spec})

    @precondition(lambda self: len(self.project) < 4)
    @rule(label=st.sampled_from(["shop", "library"]), schema=st.sampled_from(SCHEMAS), kind=kinds)
    def add_entities(self, label: str, schema: str, kind: str) -> None:
        number = next(self.numbers)
        spec = ModelSpec(label, f"Entity{number}", f"things {number}", {"first": FieldSpec(kind)}, schema)
        self.edit({**self.project, f"e{number}": spec.but(has_entities=True)})

    @precondition(lambda self: len(self.project) < 4)
    @rule(label=st.sampled_from(["shop", "library"]), schema=st.sampled_from(SCHEMAS), kind=kinds)
    def add_ledger(self, label: str, schema: str, kind: str) -> None:
        number = next(self.numbers)
        spec = ModelSpec(label, f"Ledger{number}", f"ledger {number}", {"first": FieldSpec(kind)}, schema)
        self.edit({**self.project, f"l{number}": spec.but(balance=("first",))})

    @precondition(lambda self: any(spec.balance is not None for spec in self.project.values()))
    @rule(data=st.data())
    def change_balance(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(key for key, spec in self.project.items() if spec.balance is not None)))
        spec = self.project[key]
        names = sorted(name for name, item in spec.fields.items() if item.kind != "many")
        chosen = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
        self.change(key, spec.but(balance=tuple(chosen)))

    @precondition(lambda self: any(spec.balance is not None for spec in self.project.values()))
    @rule(data=st.data())
    def change_values(self, data: st.DataObject) -> None:
        """Let the values of a ledger have decimal places, or be whole again."""
        key = data.draw(st.sampled_from(sorted(key for key, spec in self.project.items() if spec.balance is not None)))
        self.change(key, self.project[key].but(is_exact=not self.project[key].is_exact))

    @precondition(lambda self: any(spec.balance is not None for spec in self.project.values()))
    @rule(data=st.data(), interval=st.sampled_from(["day", "month", "year", None]))
    def partition_ledger(self, data: st.DataObject, interval: str | None) -> None:
        """Put a ledger into partitions, into others, or into one table again."""
        key = data.draw(st.sampled_from(sorted(key for key, spec in self.project.items() if spec.balance is not None)))
        spec = self.project[key]
        referring = {item.target for other in self.project.values() for item in other.fields.values()}
        if spec.path in referring or {item.kind for item in spec.fields.values()} & {"one", "many"}:
            return  # no constraint reaches over partitions
        if {spec.fields[name].kind for name in spec.indexes} & {"50", "80"}:
            return  # it comes back with other casts, which are no drift: tests/ledger/test_partitions.py
        self.change(key, spec.but(partition_by=interval))

    @precondition(lambda self: len(self.project) < 4)
    @rule(label=st.sampled_from(["shop", "library"]), schema=st.sampled_from(SCHEMAS), kind=kinds, machine=machines)
    def add_machine(self, label: str, schema: str, kind: str, machine: MachineSpec) -> None:
        number = next(self.numbers)
        spec = ModelSpec(label, f"Machine{number}", f"machine {number}", {"first": FieldSpec(kind)}, schema)
        self.edit({**self.project, f"s{number}": spec.but(machine=machine)})

    @rule(data=st.data(), machine=machines)
    def begin_or_change_machine(self, data: st.DataObject, machine: MachineSpec) -> None:
        """Give a plain table states, or a machine other states, guards, grants and columns of its log."""
        key, spec = self.pick(data)
        if spec.has_history or spec.has_entities or spec.balance is not None:
            return
        name = spec.machine.field if spec.machine else machine.field
        self.change(key, spec.but(machine=replace(machine, field=name), apis=(API(),)))

    @precondition(lambda self: any(spec.machine for spec in self.project.values()))
    @rule(data=st.data(), what=st.sampled_from(["field", "extras"]))
    def rename_in_machine(self, data: st.DataObject, what: str) -> None:
        key = data.draw(st.sampled_from(sorted(key for key, spec in self.project.items() if spec.machine)))
        spec, new = self.project[key], f"Renamed_{next(self.numbers)}"
        machine = replace(spec.machine, **{what: new if what == "field" else frozenset({new})})
        self.change(key, spec.but(machine=machine, apis=(API(),)), RENAMED)

    @precondition(lambda self: len(self.project) > 1)
    @rule(data=st.data())
    def delete_model(self, data: st.DataObject) -> None:
        gone, spec = self.pick(data)
        if spec.has_history or spec.has_entities or spec.machine or spec.balance is not None:
            return  # a log would stay, which tests of its own show
        rest = {key: item for key, item in self.project.items() if key != gone}
        for key, item in rest.items():
            kept = {name: one for name, one in item.fields.items() if one.target != spec.path}
            names = frozenset(kept)
            rest[key] = item.but(
                fields=kept,
                indexes=item.indexes & names,
                checks=item.checks & names,
                apis=(API(),),
                balance=item.balance and tuple(name for name in item.balance if name in names),
            )
        self.edit(rest)

    @rule(data=st.data())
    def rename_model(self, data: st.DataObject) -> None:
        key, spec = self.pick(data)
        renamed = spec.but(name=f"Renamed{next(self.numbers)}")
        project = {**self.project, key: renamed}
        for other, item in project.items():
            fields = {
                name: FieldSpec(one.kind, target=renamed.path) if one.target == spec.path else one
                for name, one in item.fields.items()
            }
            project[other] = item.but(fields=fields)
        self.edit(project, RENAMED)

    @rule(data=st.data())
    def rename_table(self, data: st.DataObject) -> None:
        key, spec = self.pick(data)
        if spec.partition_by:
            return
        self.change(key, spec.but(table=f"Renamed {next(self.numbers)}", indexes=frozenset(), checks=frozenset()))

    @rule(data=st.data(), schema=st.sampled_from([*SCHEMAS, "public"]))
    def move_to_schema(self, data: st.DataObject, schema: str) -> None:
        key, spec = self.pick(data)
        if spec.partition_by:
            return
        self.change(key, spec.but(schema=schema))

    @rule(data=st.data(), kind=kinds, null=st.booleans(), of_database=st.booleans())
    def add_field(self, data: st.DataObject, kind: str, null: bool, of_database: bool) -> None:
        key, spec = self.pick(data)
        name = data.draw(st.sampled_from(["order", "Mixed", "größe", f"field{next(self.numbers)}"]))
        if spec.balance is not None and name in spec.fields:
            null = spec.fields[name].null  # no default is filled into entries
        self.change(key, spec.with_field(name, FieldSpec(kind, null, of_database=of_database)).but(apis=(API(),)))

    @rule(data=st.data(), kind=st.sampled_from(["foreign", "one", "many"]))
    def add_relation(self, data: st.DataObject, kind: str) -> None:
        key, spec = self.pick(data)
        _, target = self.pick(data)
        if target.partition_by:
            return
        if spec.has_entities or target.has_entities or spec.partition_by:
            kind = "foreign"
        self.change(key, spec.with_field(f"link{next(self.numbers)}", FieldSpec(kind, target=target.path)))

    @rule(data=st.data())
    def remove_field(self, data: st.DataObject) -> None:
        key, spec = self.pick(data)
        if not spec.fields:
            return
        gone = data.draw(st.sampled_from(sorted(spec.fields)))
        fields = {name: item for name, item in spec.fields.items() if name != gone}
        names = frozenset(fields)
        balance = spec.balance and tuple(name for name in spec.balance if name != gone)
        self.change(
            key,
            spec.but(
                fields=fields,
                indexes=spec.indexes & names,
                checks=spec.checks & names,
                apis=(API(),),
                balance=balance,
            ),
        )

    @rule(data=st.data())
    def rename_field(self, data: st.DataObject) -> None:
        key, spec = self.pick(data)
        plain = sorted(name for name, item in spec.fields.items())
        if not plain:
            return
        old = data.draw(st.sampled_from(plain))
        new = f"renamed{next(self.numbers)}"
        fields = {new if name == old else name: item for name, item in spec.fields.items()}
        self.change(
            key,
            spec.but(
                fields=fields,
                indexes=spec.indexes - {old},
                checks=spec.checks - {old},
                apis=(API(),),
                balance=spec.balance and tuple(new if name == old else name for name in spec.balance),
                policy=new if spec.policy == old else spec.policy,
            ),
            RENAMED,
        )

    @rule(
        data=st.data(),
        kind=kinds,
        null=st.booleans(),
        collation=st.sampled_from([None, "C"]),
        text=st.booleans(),
        comment=st.sampled_from([None, "Ours.", "It's theirs."]),
    )
    def alter_field(
        self, data: st.DataObject, kind: str, null: bool, collation: str | None, text: bool, comment: str | None
    ) -> None:
        key, spec = self.pick(data)
        plain = sorted(name for name, item in spec.fields.items() if not item.target)
        if not plain:
            return
        name = data.draw(st.sampled_from(plain))
        collation = None if kind in NUMBERS else collation
        if spec.balance is not None:
            null = spec.fields[name].null  # no default is filled into entries
        altered = FieldSpec(kind, null, collation, help_text="It's 100% \\ new." if text else "", comment=comment)
        self.change(key, spec.with_field(name, altered))

    @rule(data=st.data(), kind=kinds)
    def replace_field(self, data: st.DataObject, kind: str) -> None:
        """Remove a field and add one of the same name in one go, as from a column to a many-to-many and back."""
        key, spec = self.pick(data)
        target = self.pick(data)[1]
        if not spec.fields or any(item.has_entities or item.partition_by for item in (spec, target)):
            return
        name = data.draw(st.sampled_from(sorted(spec.fields)))
        new = FieldSpec(kind) if spec.fields[name].kind == "many" else FieldSpec("many", target=target.path)
        self.change(
            key,
            spec.with_field(name, new).but(
                indexes=spec.indexes - {name},
                checks=spec.checks - {name},
                apis=(API(),),
                balance=spec.balance and tuple(one for one in spec.balance if one != name),
            ),
        )

    @rule(data=st.data(), what=st.sampled_from(["indexes", "checks"]))
    def toggle_index_or_check(self, data: st.DataObject, what: str) -> None:
        key, spec = self.pick(data)
        plain = sorted(name for name, item in spec.fields.items() if not item.target and name.isascii())
        if not plain:
            return
        name = data.draw(st.sampled_from(plain))
        self.change(key, spec.but(**{what: getattr(spec, what) ^ {name}}))

    @rule(data=st.data(), granted=grants, hide=st.booleans(), name=st.sampled_from([None, "things"]))
    def change_api(self, data: st.DataObject, granted: dict[str, list[str]], hide: bool, name: str | None) -> None:
        key, spec = self.pick(data)
        columns = spec.columns()
        some = data.draw(st.lists(st.sampled_from(columns), min_size=1, unique=True))
        api = API(exclude=[name for name in some if name != "id"]) if hide else API(columns=some)
        name = f"{name}_{key}" if name else None
        second = (API(f"second_{key}", "other_api"),) if data.draw(st.booleans()) else ()
        self.change(key, spec.but(apis=(API(name, "api", api.columns, api.exclude, granted), *second)))

    @rule(data=st.data())
    def open_log_or_close_it(self, data: st.DataObject) -> None:
        key, spec = self.pick(data)
        if spec.has_history or spec.has_entities or spec.machine:
            self.change(key, spec.but(is_log_exposed=not spec.is_log_exposed))

    @rule(data=st.data())
    def let_in_more_or_less(self, data: st.DataObject) -> None:
        """Let end users define attributes, and entries have a key, or not any more."""
        key, spec = self.pick(data)
        if spec.has_entities or (spec.balance is not None and not spec.partition_by):
            self.change(key, spec.but(is_open=not spec.is_open))

    @rule(data=st.data())
    def close_api(self, data: st.DataObject) -> None:
        key, spec = self.pick(data)
        self.change(key, spec.but(apis=()))

    @rule(data=st.data())
    def protect(self, data: st.DataObject) -> None:
        """Let the rows be those of who is named in a field, or of everybody again."""
        key, spec = self.pick(data)
        self.change(key, spec.but(policy=data.draw(st.sampled_from([None, *sorted(spec.fields)]))))

    @rule(data=st.data(), text=st.sampled_from(["", "People.", "It's \\ theirs."]))
    def comment(self, data: st.DataObject, text: str) -> None:
        key, spec = self.pick(data)
        self.change(key, spec.but(comment=text))


@pytest.mark.usefixtures("unblocked")
def test_any_sequence_of_edits_is_followed_truly() -> None:
    run_state_machine_as_test(
        Edits,
        settings=settings(
            max_examples=int(os.environ.get("PGCRAFT_EDIT_EXAMPLES", "6")),
            stateful_step_count=8,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would take longer than reading
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
