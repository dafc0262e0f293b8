"""A project in memory: its models change, `makemigrations` and `migrate` follow, on real databases.

Migrations go through Django's writer and are executed as the source that it wrote, so that what is tested is what
a file would hold.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from django.apps.registry import Apps
from django.db import connections
from django.db.migrations import Migration
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import AppConfigStub, ProjectState
from django.db.migrations.writer import MigrationWriter

from pgcraft_django import registry
from pgcraft_django.autodetector.wiring import compose
from pgcraft_django.drift import comparing, reading
from tests.support.catalog import Catalog, read_catalog
from tests.support.databases import temporary_database

Declare = Callable[[Apps], None]
"""Defines models, each with `class Meta: apps = apps; app_label = …`."""


class World:
    """The models and migrations of a project."""

    def __init__(self, labels: Sequence[str] = ("shop", "library")) -> None:
        self.labels = labels
        self.graph = MigrationGraph()
        self.order: list[Migration] = []
        self.sources: dict[str, str] = {}
        self.apps = Apps()

    def declare(self, declare: Declare) -> None:
        """Replace the models."""
        registry._registrations.clear()
        self.apps = Apps([AppConfigStub(label) for label in self.labels])
        declare(self.apps)

    def detect(self, questioner: MigrationQuestioner | None = None) -> dict[str, list[Migration]]:
        """Return what `makemigrations` would write."""
        detector_class = type("Detector", (compose(MigrationAutodetector),), {"declared_apps": self.apps})
        detector = detector_class(self.graph.make_state(), ProjectState.from_apps(self.apps), questioner)
        return detector.changes(self.graph)

    def make(self, questioner: MigrationQuestioner | None = None) -> list[Migration]:
        """Do `makemigrations`: return the new migrations, read back from their source, in order of dependency."""
        changes = self.detect(questioner or MigrationQuestioner({"ask_initial": True, "ask_rename": True}))
        new = [self.read_back(migration) for migrations in changes.values() for migration in migrations]
        for migration in new:
            self.graph.add_node((migration.app_label, migration.name), migration)
        for migration in new:
            for parent in migration.dependencies:
                self.graph.add_dependency(migration, (migration.app_label, migration.name), parent)
        plan = [key for leaf in sorted(self.graph.leaf_nodes()) for key in self.graph.forwards_plan(leaf)]
        ordered = [self.graph.nodes[key] for key in dict.fromkeys(plan)]
        made = [migration for migration in ordered if migration in new]
        self.order += made
        return made

    def read_back(self, migration: Migration) -> Migration:
        """Return the migration that the written file defines."""
        source = MigrationWriter(migration, include_header=False).as_string()
        self.sources[f"{migration.app_label}.{migration.name}"] = source
        namespace: dict[str, type[Migration]] = {}
        exec(compile(source, f"{migration.app_label}/{migration.name}.py", "exec"), namespace)
        return namespace["Migration"](migration.name, migration.app_label)

    def evolve(self, declare: Declare, questioner: MigrationQuestioner | None = None) -> list[Migration]:
        """Change the models and make the migrations for it; nothing must be left to find after that."""
        self.declare(declare)
        made = self.make(questioner)
        assert self.detect() == {}
        return made


class Site:
    """A database that follows a world's migrations."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.applied: list[Migration] = []
        self.state = ProjectState()

    def migrate(self, migrations: Sequence[Migration]) -> None:
        """Apply `migrations` that are not applied yet."""
        for migration in migrations:
            if migration in self.applied:
                continue
            with connections[self.alias].schema_editor(atomic=migration.atomic) as editor:
                self.state = migration.apply(self.state, editor)
            self.applied.append(migration)

    def unmigrate(self) -> None:
        """Take the last migration back."""
        migration = self.applied.pop()
        self.state = ProjectState()
        for earlier in self.applied:
            self.state = earlier.mutate_state(self.state, preserve=False)
        with connections[self.alias].schema_editor(atomic=migration.atomic) as editor:
            migration.unapply(self.state.clone(), editor)

    def catalog(self) -> Catalog:
        """Return what is in the database."""
        return read_catalog(connections[self.alias])

    def drift(self, other: "Site") -> list[str]:
        """Say what `pgcraft_drift` tells of this database, if the migrations make what the other one is."""
        query = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        schemas = sorted({str(name) for site in (self, other) for (name,) in site.query(query)})
        expected, found = (reading.read_catalog(connections[site.alias], schemas, []) for site in (other, self))
        return [
            f"{item.describe()}: {item.found}, and not {item.expected}"
            for item in comparing.differences(expected, found)
        ]

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Run a statement and return its rows, if any."""
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def new_site(schemas: Sequence[str] = ("private", "other")) -> Iterator[Site]:
    """Yield an empty database whose connections see tables in `schemas`."""
    path = ",".join(("public", *schemas))
    with temporary_database(OPTIONS={"options": f"-c search_path={path}"}) as alias:
        yield Site(alias)


@contextmanager
def evolved(*steps: Declare) -> Iterator[tuple[World, Site]]:
    """Yield a world that became what each of `steps` declares in turn, and a new site that followed it."""
    world = World()
    with new_site() as site:
        for declare in steps:
            site.migrate(world.evolve(declare))
        yield world, site
