"""Databases of a test's own, on the test server."""

import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connections

from pgcraft_django.naming import quote_name

ADMINISTRATOR = {"USER": "postgres", "PASSWORD": ""}
"""What DATABASES says of the superuser, for what an owner of databases may not do."""

_numbers = itertools.count()


def administrator(database: str = "postgres") -> psycopg.Connection:
    """Return a connection of the superuser, each statement in a transaction of its own."""
    settings = connections.settings["default"]
    return psycopg.connect(
        host=settings["HOST"], port=settings["PORT"], user=ADMINISTRATOR["USER"], dbname=database, autocommit=True
    )


def run_sql(sql: str, *, database: str = "postgres") -> None:
    """Run one statement as the superuser."""
    with administrator(database) as connection:
        connection.execute(sql)


@contextmanager
def new_alias(name: str, settings: dict[str, Any]) -> Iterator[str]:
    """Let there be the alias `name` with these settings, as an entry of `DATABASES`."""
    connections.settings[name] = settings
    try:
        yield name
    finally:
        connections[name].close()
        del connections[name]
        del connections.settings[name]


@contextmanager
def as_administrator(alias: str) -> Iterator[str]:
    """Yield an alias that leads to the database of `alias` as the superuser."""
    with new_alias(f"{alias}_as_administrator", {**connections.settings[alias], **ADMINISTRATOR}) as mine:
        yield mine


def run_without_triggers(alias: str, *statements: str) -> None:
    """Do what only a superuser can, who switches off all triggers and with them all foreign keys."""
    with as_administrator(alias) as mine, connections[mine].cursor() as cursor:
        for statement in ("SET session_replication_role = replica", *statements):
            cursor.execute(statement)


def reverse_rows(alias: str, table: str) -> None:
    """Let the rows of a table lie in the opposite order of that in which they came."""
    run_without_triggers(
        alias,
        f"CREATE TEMP TABLE turned AS SELECT * FROM {table} ORDER BY ctid DESC",
        f"DELETE FROM {table}",
        f"INSERT INTO {table} SELECT * FROM turned",
        "DROP TABLE turned",
    )


def wait_until_blocked(work: "Future[Any]", database: str) -> None:
    """Wait until somebody in the database waits for a lock, and fail if `work` ends before."""
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with administrator(database) as watcher:
        while watcher.execute(waiting).rowcount == 0:
            assert not work.done(), work.result()
            time.sleep(0.002)


@contextmanager
def temporary_database(**settings: Any) -> Iterator[str]:
    """Yield the alias of a new, empty database; `settings` override those of `default`.

    It belongs to the tests' owner; if `settings` name another user, to the superuser.
    """
    alias = f"temporary_{next(_numbers)}"
    name = f"pgcraft_{os.getpid()}_{alias}"
    owner = ADMINISTRATOR["USER"] if "USER" in settings else connections.settings["default"]["USER"]
    run_sql(f"CREATE DATABASE {quote_name(name)} OWNER {quote_name(owner)}")
    try:
        with new_alias(alias, {**connections.settings["default"], "NAME": name, **settings}):
            yield alias
    finally:
        run_sql(f"DROP DATABASE {quote_name(name)} WITH (FORCE)")
