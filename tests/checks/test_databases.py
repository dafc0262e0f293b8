"""The databases themselves, asked under `--database` only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps.registry import Apps
from django.core.checks import CheckMessage, Tags, run_checks
from django.db import connections, models
from pytest_django import Settings

from pgcraft_django.checks.database import check_databases, check_version
from tests.checks.declare import expect, model
from tests.support.databases import new_alias, temporary_database


@contextmanager
def database(**settings: Any) -> Iterator[str]:
    """Yield the alias of a database that only settings know."""
    with new_alias("extra", {**connections.settings["default"], **settings}) as alias:
        yield alias


def path(value: str) -> dict[str, Any]:
    return {"OPTIONS": {"options": f"-c search_path={value}"}}


def check(apps: Apps, *aliases: str) -> list[CheckMessage]:
    return check_databases(databases=aliases, apps=apps)


class Nowhere:
    """A router that lets no table in."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return False


@pytest.fixture(autouse=True)
def _unblocked(unblocked: None) -> None:
    """Tests here make databases of their own."""


@pytest.mark.parametrize("value", ["public,private", 'public,\\ "private"', '"public",other,"private",pg_temp'])
def test_a_path_to_the_tables_is_no_message(apps: Apps, value: str) -> None:
    model(apps)
    with temporary_database(**path(value)) as alias:
        assert check(apps, alias) == []


@pytest.mark.parametrize("value", ["public", "public,Private2", "public,private_too"])
def test_a_path_that_lacks_a_schema_is_an_error_with_the_options_line(apps: Apps, value: str) -> None:
    model(apps)
    with temporary_database(**path(value)) as alias:
        found = check(apps, alias)
    expect(found, "E054", '"OPTIONS": {"options": "-c search_path=public,')
    assert f'DATABASES["{alias}"]' in str(found[0].hint)
    assert 'lacks "private"' in found[0].msg


def test_a_path_that_makes_tables_elsewhere_is_an_error(apps: Apps) -> None:
    model(apps)
    with temporary_database(**path("private,public")) as alias:
        with connections[alias].cursor() as cursor:
            cursor.execute("CREATE SCHEMA private")
        found = check(apps, alias)
    expect(found, "E054", '"OPTIONS": {"options": "-c search_path=public,')
    assert "new tables go to 'private'" in found[0].msg


@pytest.mark.parametrize("schema", ["Größe", 'he "said" so', "back\\slash", "order", "two  spaces"])
def test_the_options_line_is_right_for_every_name(apps: Apps, schema: str) -> None:
    model(apps, pgcraft={"schema": schema})
    with temporary_database(**path("public")) as alias:
        (message,) = check(apps, alias)
    line = str(message.hint).removeprefix("Write ").split(" in DATABASES")[0]
    with temporary_database(**eval(f"{{{line}}}")) as alias:
        assert check(apps, alias) == []


def test_nothing_is_asked_without_databases(apps: Apps) -> None:
    model(apps)
    with database(PORT=1, **path("public")):
        assert check_databases(databases=None, apps=apps) == []


def test_our_tag_alone_asks_no_database() -> None:
    with temporary_database(**path("public")) as alias:
        asked = run_checks(tags=[Tags.database], databases=[alias])
        assert "pgcraft_django.E054" in [message.id for message in asked]
        static = run_checks(tags=["pgcraft_django"], databases=[alias])
        assert "pgcraft_django.E054" not in [message.id for message in static]


def test_a_project_without_our_models_is_left_alone(apps: Apps) -> None:
    model(apps, base=models.Model)
    with temporary_database(**path("other")) as alias:
        assert check(apps, alias) == []


def test_a_database_that_cannot_be_reached_is_for_others_to_report(apps: Apps) -> None:
    model(apps)
    with database(HOST="/nowhere", PORT=1) as alias:
        assert check(apps, alias) == []
    with database(NAME="") as alias:
        assert check(apps, alias) == []


def test_a_database_that_our_models_do_not_go_to_is_left_alone(apps: Apps, settings: Settings) -> None:
    class Elsewhere:
        def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
            return db == "default"

    settings.DATABASE_ROUTERS = [Elsewhere()]
    model(apps)
    with temporary_database(**path("other")) as alias:
        assert check(apps, alias) == []


def test_a_path_to_tables_that_are_in_another_database_is_not_asked_for(apps: Apps, settings: Settings) -> None:
    class ByApp:
        def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
            return (db == "default") == (app_label == "shop")

    settings.DATABASE_ROUTERS = [ByApp()]
    model(apps)
    model(apps, "Store", label="library", pgcraft={"schema": "stores"})
    with temporary_database(**path("public,stores")) as alias:
        assert check(apps, alias) == []
    with temporary_database(**path("public,private")) as alias:
        expect(check(apps, alias), "E054", r'"-c search_path=public,\\ \"stores\""')


def test_another_vendors_database_is_left_alone_beside_postgresql(apps: Apps) -> None:
    model(apps)
    with database(ENGINE="django.db.backends.sqlite3", NAME=":memory:", OPTIONS={}) as alias:
        assert check(apps, alias) == []


def test_a_project_without_postgresql_is_an_error_with_the_engine_line(apps: Apps, settings: Settings) -> None:
    class ToExtra:
        def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
            return db == "extra"

    settings.DATABASE_ROUTERS = [ToExtra()]
    model(apps)
    with database(ENGINE="django.db.backends.sqlite3", NAME=":memory:", OPTIONS={}) as alias:
        line = '"ENGINE": "django.db.backends.postgresql" in DATABASES["extra"]'
        expect(check(apps, alias), "E052", line)


def test_a_router_that_lets_our_tables_nowhere_is_an_error(apps: Apps, settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [Nowhere()]
    for name in "ABCDE":
        model(apps, name)
    found = check(apps, "default")
    expect(found, "E052", "allow_migrate()")
    assert "shop.A, shop.B, shop.C and 2 more" in found[0].msg


@pytest.mark.parametrize("version", [150000, 150004, 160000, 180001])
def test_new_servers_are_no_message(version: int) -> None:
    assert list(check_version("default", version)) == []


@pytest.mark.parametrize("version", [140012, 130000, 90624])
def test_old_servers_are_an_error(version: int) -> None:
    expect(list(check_version("default", version)), "E053", "Upgrade the server to PostgreSQL 15 or newer")


def test_a_server_that_django_refuses_is_an_error(apps: Apps) -> None:
    model(apps)
    with temporary_database() as alias:
        connections[alias].features.minimum_database_version = (99,)
        found = check(apps, alias)
    expect(found, "E053", "Upgrade the server to PostgreSQL 15 or newer")
    assert "99" in found[0].msg
