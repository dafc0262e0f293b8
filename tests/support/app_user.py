"""Who many a project is in production: an app's user, who may write every row of every table, and owns none."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connections

from tests.support.databases import administrator, run_sql


class AppUser:
    """A session of such a user. Databases let everybody make temporary tables, with triggers on them."""

    def __init__(self, connection: psycopg.Connection, name: str) -> None:
        self.connection = connection
        connection.execute(f"SET SESSION AUTHORIZATION {name}")
        connection.execute("CREATE TEMPORARY TABLE bait (id bigint)")

    def from_a_trigger(self, statement: str) -> str:
        """Run a statement within a trigger of their own; return the SQLSTATE of what refuses it, or an empty text."""
        self.connection.execute(f"""
            CREATE OR REPLACE FUNCTION pg_temp.sly() RETURNS trigger LANGUAGE plpgsql
            AS $sly$ BEGIN {statement}; RETURN NULL; END $sly$;
            CREATE OR REPLACE TRIGGER sly AFTER INSERT ON pg_temp.bait EXECUTE FUNCTION pg_temp.sly();
        """)
        try:
            self.connection.execute("INSERT INTO pg_temp.bait VALUES (1)")
        except psycopg.Error as error:
            return str(error.sqlstate)
        return ""


@contextmanager
def app_user(alias: str, schema: str = "private") -> Iterator[AppUser]:
    """Yield a user who may write all that is in the schema."""
    name, database = f"pgcraft_app_{secrets.token_hex(4)}", connections[alias].settings_dict["NAME"]
    run_sql(f"CREATE ROLE {name}")
    try:
        with administrator(database) as boss:
            boss.execute(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
            boss.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {name}")
            boss.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {name}")
        with administrator(database) as connection:
            yield AppUser(connection, name)
            connection.execute("DROP TABLE pg_temp.bait CASCADE; RESET SESSION AUTHORIZATION")
    finally:
        run_sql(f"DROP OWNED BY {name} CASCADE", database=database)
        run_sql(f"DROP ROLE {name}")
