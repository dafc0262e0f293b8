"""The start-up option with which Django finds tables in schemas of any name."""

import psycopg
import pytest
from django.db import connections

from pgcraft_django.connections import search_path_option
from tests.support.databases import temporary_database

NAMES = [
    "private",
    "Mixed Case",
    "tab\there",
    "line\nbreak",
    "back\\slash",
    'quo"te',
    "com,ma",
    "größe",
    "a'b",
    "\x0b\x0c\r",
]


@pytest.mark.usefixtures("unblocked")
def test_tables_are_found_in_schemas_of_any_name() -> None:
    with temporary_database() as alias:
        settings = connections.settings[alias]
        with psycopg.connect(
            host=settings["HOST"],
            port=settings["PORT"],
            user=settings["USER"],
            password=settings["PASSWORD"],
            dbname=settings["NAME"],
            autocommit=True,
            options=search_path_option(NAMES),
        ) as connection:
            for number, name in enumerate(NAMES):
                schema, table = psycopg.sql.Identifier(name), psycopg.sql.Identifier(f"table_{number}")
                connection.execute(psycopg.sql.SQL("CREATE SCHEMA {}").format(schema))
                connection.execute(psycopg.sql.SQL("CREATE TABLE {}.{} ()").format(schema, table))
            for number in range(len(NAMES)):
                assert connection.execute(f"SELECT to_regclass('table_{number}') IS NOT NULL").fetchone() == (True,)
