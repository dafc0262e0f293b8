"""`check --deploy`: what is open before a site goes live."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.db import DatabaseError, connections, models, transaction

from pgcraft_django.api import API
from pgcraft_django.checks.deploy import check_exposure, check_live
from pgcraft_django.models import PGCraftAppendOnly
from pgcraft_django.naming import quote_name
from pgcraft_django.policies import OwnerPolicy, Policy, PublicReadPolicy
from tests.checks.declare import expect, model
from tests.support.databases import run_sql, temporary_database

CLOSED = {"webuser": "all"}


def exposure(apps: Apps) -> list[CheckMessage]:
    """Return what is open, but for W114: there are no logins here."""
    return [item for item in check_exposure(apps=apps) if item.id != "pgcraft_django.W114"]


@pytest.mark.parametrize("privilege", ["select", "insert"])
def test_what_everybody_may_do_without_a_token_is_told(apps: Apps, privilege: str) -> None:
    model(apps, pgcraft={"api": API(grants={"anon": [privilege]})})
    expect(exposure(apps), "W111", "policies in class PGCraft")


def test_what_policies_protect_is_no_message(apps: Apps) -> None:
    model(apps, pgcraft={"api": API(grants={"anon": ["select"]}), "policies": [OwnerPolicy("name")]})
    model(apps, "Other", pgcraft={"api": API(grants=CLOSED), "policies": [PublicReadPolicy()]})
    assert exposure(apps) == []


@pytest.mark.parametrize("name", ["password", "api_key", "reset_token", "SSN"])
def test_a_column_that_looks_like_a_secret_is_told(apps: Apps, name: str) -> None:
    model(apps, **{name: models.TextField(null=True)}, pgcraft={"api": API(grants=CLOSED)})
    expect(exposure(apps), "W112", f'exclude=["{name}"]')


def test_an_ordinary_column_is_no_message(apps: Apps) -> None:
    fields = {
        name: models.TextField(null=True) for name in ("tokenizer", "classname", "keyboard", "passwordless_login")
    }
    model(
        apps,
        **{**fields, "hidden_password": models.TextField(null=True)},
        pgcraft={"api": API(grants=CLOSED, exclude=["hidden_password"])},
    )
    assert exposure(apps) == []


@pytest.mark.parametrize("always", ["TRUE", models.Q(), ~models.Q(pk__in=[]), models.Value(True)])
def test_a_policy_that_lets_everybody_write_is_told(apps: Apps, always: Any) -> None:
    model(apps, pgcraft={"api": API(grants=CLOSED), "policies": [Policy("all", using=always)]})
    expect(exposure(apps), "W113", 'commands=["select"]')


def test_who_writes_every_row_is_named_and_what_nobody_writes_is_no_message(apps: Apps) -> None:
    read = API(name="read", grants={"webuser": ["select"]})
    policies = [Policy("all", using="true", roles=["webuser"]), Policy("nobody", using="true", roles=["staff"])]
    model(
        apps,
        base=PGCraftAppendOnly,
        pgcraft={"api": [API(grants={"anon": ["select"], **CLOSED}), read], "history_api": read, "policies": policies},
    )
    told = [str(item.msg) for item in exposure(apps)]
    assert told == ["The policy 'all' lets \"webuser\" write every row of 'shop_person'."]


@pytest.mark.parametrize(("secret", "numbers"), [("short", ["E111"]), ("x" * 32, []), ("", [])])
def test_a_short_secret_is_told(apps: Apps, monkeypatch: pytest.MonkeyPatch, secret: str, numbers: list[str]) -> None:
    monkeypatch.setenv("PGRST_JWT_SECRET", secret)
    found = exposure(apps)
    assert [item.id for item in found] == [f"pgcraft_django.{number}" for number in numbers]
    assert not secret or secret not in str(found)


def test_a_public_key_as_a_secret_is_told(apps: Apps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGRST_JWT_SECRET", "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ\n-----END PUBLIC KEY-----")
    expect(exposure(apps), "E111", "secrets.token_urlsafe")


@pytest.fixture(scope="module")
def database(django_db_blocker: Any) -> Iterator[str]:
    """Yield the alias of a database with all migrations, which each test leaves as it was."""
    with django_db_blocker.unblock(), temporary_database() as alias:
        call_command("migrate", database=alias, verbosity=0)
        yield alias


@pytest.fixture
def alias(database: str, unblocked: None) -> str:
    return database


# A number, what opens something, and the words of the repair.
OPENED = [
    ("E113", "CREATE VIEW api.leak AS SELECT 1 AS one", "ALTER VIEW api.leak SET"),
    ("E114", "CREATE MATERIALIZED VIEW api.leak AS SELECT 1 AS one", "api.leak"),
    (
        "E115",
        "CREATE FUNCTION private.leak() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "ALTER FUNCTION private.leak() SET search_path = pg_catalog, pg_temp",
    ),
    *(
        (
            "E115",
            f"CREATE FUNCTION private.leak() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = {path} "
            "AS 'SELECT 1'",
            "ALTER FUNCTION private.leak() SET search_path = pg_catalog, pg_temp",
        )
        # The last one is one name.
        for path in ("private", "''", "pg_temp, private", "'pg_catalog, pg_temp'")
    ),
    (
        "W115",
        "CREATE FUNCTION api.leak() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp "
        "AS 'SELECT 1'; REVOKE ALL ON FUNCTION api.leak() FROM PUBLIC",
        "ALTER FUNCTION api.leak() SECURITY INVOKER",
    ),
    ("E116", "CREATE FUNCTION api.leak() RETURNS int LANGUAGE sql AS 'SELECT 1'", "ON FUNCTION api.leak() FROM PUBLIC"),
    ("E117", "CREATE POLICY leak ON private.clubs USING (true)", "ALTER TABLE private.clubs ENABLE"),
    ("E120", "GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
    ("E120", "GRANT CREATE ON SCHEMA private TO webuser", "REVOKE CREATE ON SCHEMA private"),
]


def test_what_is_open_in_a_database_is_told_with_the_statement_that_closes_it(alias: str, settings: Any) -> None:
    role = f"pgcraft_leak_{secrets.token_hex(4)}"
    settings.PGCRAFT = {**settings.PGCRAFT, "ROLES": ["anon", "webuser", role]}
    run_sql(f"CREATE ROLE {role} BYPASSRLS")
    try:
        with connections[alias].cursor() as cursor:
            found = check_live(databases=[alias])
            expect(found, "E112", f"ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS")
            run_sql(found[0].hint.removeprefix("Run: "))
            assert check_live(databases=[alias]) == []
        for number, statement, line in OPENED:
            with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
                cursor.execute(statement)
                found = {item.id: item for item in check_live(databases=[alias])}
                assert {key: line in item.hint for key, item in found.items()} == {f"pgcraft_django.{number}": True}
                transaction.set_rollback(True, using=alias)
    finally:
        run_sql(f"DROP ROLE {role}")


def test_a_token_that_can_name_a_role_with_more_power_is_told(alias: str, settings: Any) -> None:
    """PostgREST may switch to whatever the request roles are members of, at any distance."""
    names = [f"pgcraft_{name}_{secrets.token_hex(4)}" for name in ("login", "web", "between", "boss")]
    login, web, between, boss = names
    settings.PGCRAFT = {**settings.PGCRAFT, "AUTHENTICATOR_ROLE": login, "ROLES": ["anon", "webuser", web]}
    try:
        for name in names:
            run_sql(f"CREATE ROLE {name}")
        run_sql(f"GRANT {web} TO {login}; GRANT {between} TO {web}; GRANT {boss} TO {between}")
        assert check_live(databases=[alias]) == []
        for power in ("SUPERUSER", "BYPASSRLS"):
            run_sql(f"ALTER ROLE {boss} {power}")
            expect(check_live(databases=[alias]), "E119", "pgcraft_drift prints how")
            run_sql(f"ALTER ROLE {boss} NO{power}")
        owner = connections[alias].settings_dict["USER"]
        run_sql(f"GRANT {quote_name(owner)} TO {web}")
        found = check_live(databases=[alias])
        assert [owner in item.msg for item in found] == [True]
        run_sql(f"ALTER ROLE {login} SUPERUSER; REVOKE {quote_name(owner)} FROM {web}")
        found = check_live(databases=[alias])
        assert [login in item.msg for item in found] == [True]
    finally:
        for name in names:
            run_sql(f"DROP ROLE IF EXISTS {name}")


LEAK = """
    CREATE FUNCTION private.leak() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = {} AS $$
    BEGIN
        RETURN 'safe'::text;
    END $$
"""
TRAP = """
    CREATE SCHEMA attack;
    GRANT ALL ON SCHEMA attack TO webuser;
    GRANT USAGE ON SCHEMA private TO webuser;
    SET LOCAL ROLE webuser;
    CREATE FUNCTION attack.caught(pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'caught %', current_user;
    END $$;
    CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (attack.caught(VALUE));
"""


def test_temporary_objects_do_not_come_first_in_a_path_that_ends_with_them_and_only_there(alias: str) -> None:
    """E115 knows which paths these are. An empty one is not among them."""
    paths = {"''": False, "pg_catalog": False, "'pg_catalog, pg_temp'": False, "pg_temp, pg_catalog": False}
    paths |= {"pg_catalog, pg_temp": True, '"A ""b"", c", pg_temp': True, "pg_temp": True}
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_user")
        [(owner,)] = cursor.fetchall()
        for path, is_pinned in paths.items():
            with transaction.atomic(using=alias):
                cursor.execute(LEAK.format(path))
                assert [item.id for item in check_live(databases=[alias])] == ["pgcraft_django.E115"] * (not is_pinned)
                cursor.execute(TRAP)
                if is_pinned:
                    cursor.execute("SELECT private.leak()")
                    assert cursor.fetchall() == [("safe",)]
                else:
                    with pytest.raises(DatabaseError, match=f"caught {owner}"), transaction.atomic(using=alias):
                        cursor.execute("SELECT private.leak()")
                transaction.set_rollback(True, using=alias)


@pytest.mark.django_db  # Django's own checks ask for the version of PostgreSQL
def test_nothing_of_this_is_said_without_deploy() -> None:
    numbers = {f"pgcraft_django.{letter}11{digit}" for letter in "EW" for digit in range(1, 8)}
    assert not numbers & {item.id for item in run_checks()}
    assert numbers & {item.id for item in run_checks(include_deployment_checks=True)}
