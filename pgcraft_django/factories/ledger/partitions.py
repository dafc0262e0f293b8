"""Ledgers in partitions by time: what PostgreSQL has for it, and who makes the partitions of coming periods.

An entry for whose time there is none goes into the default partition, so none is ever lost. A function of the database
makes those that come, and moves there what is in the default one. It is called after each `migrate`, by the command
`pgcraft_ledger_partitions`, or by whatever else can run SQL.
"""

import sys
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import DatabaseError, OperationalError, connections, models, transaction

from pgcraft_django.bodies import read_body
from pgcraft_django.diagnosis import INSUFFICIENT_PRIVILEGE, READ_ONLY, server_message, sqlstate
from pgcraft_django.factories.guard import let_tests_truncate
from pgcraft_django.factories.ledger.model import is_ledger
from pgcraft_django.factories.ledger.shape import INTERVALS, partition_interval
from pgcraft_django.naming import is_identifier, quote_name, quote_text, shorten
from pgcraft_django.objects import DatabaseObject, Function, Partitioning, SharedFunction
from pgcraft_django.objects.partitioning import GUARD_PARTITION, closing_sql

PATIENCE = "2s"
"""How long it waits for readers of all of the ledger: less than others, who wait behind it, do for a lock."""
AHEAD = 2
"""How many periods after the present one have their partitions, unless something else is asked for."""


def partition_objects(schema: str, table: str, interval: str) -> Iterator[DatabaseObject]:
    """Yield what makes the table a partitioned one, and the function that makes its partitions."""
    if not is_identifier(longest_name(table)):
        return
    guard = read_body(__file__, "guard_partition")
    yield SharedFunction(schema=schema, name=GUARD_PARTITION, returns="trigger", language="plpgsql", body=guard)
    partitioning = Partitioning(schema=schema, table=table)
    yield partitioning
    yield Function(
        schema=schema,
        name=_function(table),
        arguments='"ahead" integer',
        returns="SETOF text",
        language="plpgsql",
        # Periods are the same whoever asks, and wherever.
        settings={"timezone": "UTC", "datestyle": "ISO", "lock_timeout": PATIENCE},
        body=read_body(
            __file__,
            "partitions",
            schema_name=quote_text(schema),
            table_name=quote_text(table),
            interval=quote_text(INTERVALS[interval]),
            unit=quote_text(interval),
            closed=closing_sql(schema),
        ),
        requires=[tuple(partitioning.key)],
        reads={quote_name(schema, table): {}},
    )


def longest_name(table: str) -> str:
    """Return a name that is as long as the longest of a partition."""
    return f"{table}_p20260101"


def _function(table: str) -> str:
    return shorten(f"{table}_partitions")


def partitioned_ledgers() -> list[type[models.Model]]:
    """Return the ledgers that are partitioned."""
    return [
        model
        for model in apps.get_models()
        if is_ledger(model) and not model._meta.proxy and partition_interval(model) is not None
    ]


def is_migrated(model: type[models.Model], using: str) -> bool:
    """Tell whether the database has the function that makes the ledger's partitions."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_catalog.to_regproc(%s) IS NOT NULL", [quote_name(_function(model._meta.db_table))])
        [(is_there,)] = cursor.fetchall()
    return bool(is_there)


def make_partitions(model: type[models.Model], using: str, ahead: int = AHEAD) -> list[str]:
    """Make the partitions of the present period and of those `ahead`; return the names of those that were missing.

    Raises Django's `OperationalError` if somebody has been reading all of the ledger for longer than `PATIENCE`.
    """
    is_first = not connections[using].in_atomic_block
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        if is_first:  # what others have done has to be seen once they are waited for, also where a project is stricter
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        cursor.execute(f"SELECT * FROM {quote_name(_function(model._meta.db_table))}(%s)", [ahead])
        made = [name for (name,) in cursor.fetchall()]
    let_tests_truncate(using)  # each partition has guards of its own
    return made


def make_partitions_after_migrate(using: str, *, stdout: Any = None, **kwargs: Any) -> None:
    """Make the partitions of all ledgers that have been migrated so far. What cannot be now is left for later."""
    for model in partitioned_ledgers() if connections[using].vendor == "postgresql" else ():
        if is_migrated(model, using):
            try:
                make_partitions(model, using)
            except DatabaseError as error:
                (stdout or sys.stdout).write(
                    f"Warning: {why_none(model, error)} Nothing is lost: run manage.py pgcraft_ledger_partitions.\n"
                )


def why_none(model: type[models.Model], error: DatabaseError) -> str:
    """Say why there are no new partitions this time; raise the error if that was not to be expected."""
    code = sqlstate(error)
    if not isinstance(error, OperationalError) and code not in (INSUFFICIENT_PRIVILEGE, READ_ONLY):
        raise error
    owner = " Only the owner of the tables makes them." if code == INSUFFICIENT_PRIVILEGE else ""
    return f"{model._meta.label} has no new partitions: {server_message(error)}.{owner}"
