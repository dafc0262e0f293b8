"""All that a database has otherwise than its migrations made it."""

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from pgcraft_django.autodetector.aside import objects_made_by
from pgcraft_django.conf import get_config
from pgcraft_django.drift.comparing import Difference, differences
from pgcraft_django.drift.reading import read_catalog
from pgcraft_django.drift.rereading import as_read_again
from pgcraft_django.drift.roles import read_roles
from pgcraft_django.drift.scratch import migrated_scratch
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.naming import DEFAULT_SCHEMA
from pgcraft_django.objects import Schema


def find_drift(connection: BaseDatabaseWrapper) -> list[Difference]:
    """Return what is otherwise than the migrations made it, in the order in which it is mended.

    Raises `ServerError` if no scratch database can be made, and `ConfigurationError` if the routers let migrations make
    nothing in this database, as in a copy that is read from: all of it would be called surplus.
    """
    schemas, tables = _managed(connection.alias)
    found = read_catalog(connection, schemas, tables)
    wanted_roles, roles = read_roles(connection, get_config())
    with migrated_scratch(connection):
        expected = read_catalog(connection, schemas, tables)
        expected = as_read_again(connection, expected, found, schemas, tables)
    return differences(wanted_roles, roles) + differences(expected, found)


def _managed(alias: str) -> tuple[list[str], list[str]]:
    """Return the schemas that migrations make there, and the tables elsewhere that they protect or expose."""
    # Not by the state, with which Django changes composite keys in the migrations, which are still to be run.
    graph = MigrationLoader(None).graph
    steps = dict.fromkeys(step for leaf in graph.leaf_nodes() for step in graph.forwards_plan(leaf))
    made = objects_made_by(graph.nodes[step] for step in steps)
    objects = [item for label, known in made.items() if router.allow_migrate(alias, label) for item in known.values()]
    if made and not objects:
        raise ConfigurationError(
            f"Migrations make nothing in the database {alias!r}, as allow_migrate() of a router says. "
            "Name the one that they are run in, with --database."
        )
    schemas = {item.name for item in objects if isinstance(item, Schema)} - {DEFAULT_SCHEMA}
    tables = {
        f"{item.key.schema}.{item.key.name}"
        for item in objects
        if item.key.kind in ("grant", "policy", "row security") and item.key.schema == DEFAULT_SCHEMA
    }
    return sorted(schemas), sorted(tables)
