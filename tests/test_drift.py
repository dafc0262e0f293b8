"""`pgcraft_drift`: every way to leave what the migrations made is found, and mended by the SQL that it prints."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from pgcraft_django.conf import get_config
from pgcraft_django.drift.comparing import differences
from pgcraft_django.drift.detecting import find_drift
from pgcraft_django.drift.reading import read_catalog
from tests.ledger.conftest import new_store
from tests.support.databases import ADMINISTRATOR, administrator, run_sql, temporary_database

# What somebody does by hand -> what is said of it.
TAMPERING = {
    "ALTER VIEW api.clubs SET (security_invoker = false)": "changed: view api.clubs",
    "GRANT DELETE ON api.clubs TO anon": "not declared: privilege on a relation delete api.clubs to anon",
    "REVOKE SELECT ON api.clubs FROM anon": "missing: privilege on a relation select api.clubs to anon",
    "GRANT UPDATE (id) ON private.clubs TO anon": "privilege on a column update private.clubs.id to anon",
    "GRANT USAGE ON SCHEMA private TO anon": "not declared: privilege on a schema usage SCHEMA private to anon",
    "ALTER TABLE private.clubs ENABLE ROW LEVEL SECURITY": "changed: row security private.clubs",
    "CREATE POLICY mine ON private.clubs USING (true)": "not declared: policy mine ON private.clubs",
    "DROP POLICY owner ON django_admin_log": "missing: policy owner ON public.django_admin_log",
    "CREATE FUNCTION api.evil() RETURNS int LANGUAGE sql RETURN 1": "not declared: function api.evil()",
    "CREATE PROCEDURE api.evil_too() LANGUAGE sql AS 'SELECT 1'": "not declared: function api.evil_too()",
    "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER far FOREIGN DATA WRAPPER far;"
    " CREATE FOREIGN TABLE api.far (id int) SERVER far": "not declared: table api.far",
    "CREATE MATERIALIZED VIEW api.copied AS SELECT 1 AS one": "not declared: materialized view api.copied",
    "CREATE VIEW api.stray AS SELECT 1 AS one": "not declared: view api.stray",
    "CREATE TABLE private.stray (id int)": "not declared: table private.stray",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA api GRANT SELECT ON TABLES TO anon": "not declared: default privilege select",
    "COMMENT ON VIEW api.clubs IS 'hacked'": "comment VIEW api.clubs",
    "ALTER TABLE private.letters DISABLE ROW LEVEL SECURITY": "changed: row security private.letters",
    "ALTER POLICY owner ON private.letters USING (true)": "changed: policy owner ON private.letters",
    "ALTER TABLE private.closed OWNER TO webuser": "changed: owner private.closed",
    'ALTER TABLE private.documents DISABLE TRIGGER "~pgcraft_history"': (
        'changed: trigger "~pgcraft_history" ON private.documents'
    ),
    "ALTER FUNCTION private.documents_history_updated() RESET search_path": (
        "changed: function private.documents_history_updated()"
    ),
    "CREATE OR REPLACE FUNCTION private.documents_history_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
    " SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'": (
        "changed: function private.documents_history_deleted()"
    ),
}


@pytest.fixture
def alias(settings: Any, unblocked: None) -> Iterator[str]:
    """A database with all migrations applied, and an authenticator of its own."""
    name = f"authenticator_{secrets.token_hex(4)}"
    settings.PGCRAFT = {**settings.PGCRAFT, "AUTHENTICATOR_ROLE": name}
    with temporary_database(**ADMINISTRATOR) as alias:
        call_command("pgcraft_roles", database=alias, verbosity=0)
        call_command("migrate", database=alias, verbosity=0)
        yield alias
        run_sql(f"DROP OWNED BY {name}", database=connections[alias].settings_dict["NAME"])
    run_sql(f"DROP ROLE {name}")


def databases() -> set[str]:
    with administrator() as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def execute(alias: str, *statements: str) -> None:
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_what_was_changed_by_hand_is_found_and_mended(alias: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = databases()
    call_command("pgcraft_drift", database=alias)
    assert "as the migrations make it" in capsys.readouterr().out
    authenticator = get_config().authenticator_role
    of_roles = [
        f"ALTER ROLE {authenticator} CREATEDB BYPASSRLS",
        f"REVOKE anon FROM {authenticator}",
        f"ALTER ROLE {authenticator} SET pgrst.db_schemas = 'private'",
        f"ALTER ROLE {authenticator} IN DATABASE {connections[alias].settings_dict['NAME']} SET row_security = 'off'",
        f"ALTER ROLE {authenticator} SET statement_timeout = '10s'",  # a DBA may
    ]
    # What is somebody else's is not looked at, and not touched.
    foreign = [
        "CREATE SCHEMA elsewhere",
        "CREATE TABLE elsewhere.theirs (id int)",
        "CREATE TABLE public.theirs (id int)",
    ]
    execute(alias, *TAMPERING, *of_roles, *foreign, "GRANT ALL ON elsewhere.theirs TO anon")
    with pytest.raises(CommandError, match="differences"):
        call_command("pgcraft_drift", database=alias)
    said = capsys.readouterr().out
    expected = [
        *TAMPERING.values(),
        f"changed: role {authenticator}",
        f"not declared: role setting pgrst.db_schemas of {authenticator}",
        f"not declared: role setting row_security of {authenticator} here",
        f'missing: membership "{authenticator}" in "anon"',
    ]
    assert [line for line in expected if line not in said] == []
    assert "theirs" not in said
    execute(alias, "INSERT INTO private.stray VALUES (1)")
    execute(alias, said)  # comments say what cannot be mended
    assert [item.describe() for item in find_drift(connections[alias])] == ["not declared: table private.stray"]
    with pytest.raises(CommandError):
        call_command("pgcraft_drift", database=alias, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert {item["problem"] for item in found} == {"not declared"}
    assert set(found[0]) == {"kind", "name", "problem", "expected", "found", "repair"}
    execute(alias, "DROP TABLE private.stray")
    assert find_drift(connections[alias]) == []
    assert {name for name in databases() if "drift" in name} == {name for name in before if "drift" in name}


WEAKENED = {
    "ALTER TABLE private.inventory_default DISABLE ROW LEVEL SECURITY": "inventory_default without row-level security",
    "ALTER TABLE private.inventory_default OWNER TO webuser": "inventory_default with another owner than its table",
    "ALTER TABLE private.inventory_default DISABLE TRIGGER pgcraft_guard": (
        "inventory_default with its trigger pgcraft_guard disabled"
    ),
    "ALTER TABLE private.inventory_default DISABLE TRIGGER pgcraft_guard_partition": (
        "inventory_default with its trigger pgcraft_guard_partition disabled"
    ),
    "DROP TRIGGER pgcraft_guard_partition ON private.inventory_default": (
        "inventory_default without the trigger pgcraft_guard_partition"
    ),
    "DROP TRIGGER pgcraft_guard_truncate ON private.inventory_default": (
        "inventory_default without the trigger pgcraft_guard_truncate"
    ),
}


def test_a_partition_that_lost_its_guards_is_found_and_mended(unblocked: None) -> None:
    with new_store(partition_by="month") as store:
        connection = connections[store.site.alias]
        before = read_catalog(connection, ["private"], [])
        assert [name for kind, name in before if kind == "partition"] == []
        for tampering, said in WEAKENED.items():
            run_sql(tampering, database=store.database)
            [found] = differences(before, read_catalog(connection, ["private"], []))
            assert found.describe() == f"not declared: partition private.{said}"
            assert found.repair
            execute(store.site.alias, found.repair)
            assert read_catalog(connection, ["private"], []) == before
