"""Databases of a test's own, on the test server."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connections

from pgcraft_django.naming import quote_name

_numbers = itertools.count()


def administrator(database: str = "postgres") -> psycopg.Connection:
    """Return a connection of the superuser, each statement in a transaction of its own."""
    settings = connections.settings["default"]
    return psycopg.connect(
        host=settings["HOST"], port=settings["PORT"], user=settings["USER"], dbname=database, autocommit=True
    )


def run_sql(sql: str, *, database: str = "postgres") -> None:
    """Run one statement as the superuser."""
    with administrator(database) as connection:
        connection.execute(sql)


@contextmanager
def temporary_database(**settings: Any) -> Iterator[str]:
    """Yield the alias of a new, empty database; `settings` override those of `default`."""
    alias = f"temporary_{next(_numbers)}"
    name = f"pgcraft_{os.getpid()}_{alias}"
    run_sql(f"CREATE DATABASE {quote_name(name)}")
    connections.settings[alias] = {**connections.settings["default"], "NAME": name, **settings}
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]
        run_sql(f"DROP DATABASE {quote_name(name)} WITH (FORCE)")
