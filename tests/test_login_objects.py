"""What logins are in the database: found by migrations, taken back by them, and asked before each request."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import jwt
import pytest
from django.apps.registry import Apps
from django.conf import settings
from django.core.management import call_command
from django.db import connections, models
from django.test import override_settings
from pytest_django import Settings

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftLogin, PGCraftSimple
from pgcraft_django.postgrest.config import pre_request
from tests.support.served import Served, serve
from tests.support.world import Site, World, new_site

SECRET = "a secret that is long enough to be one"


def declare(apps: Apps, *, logins: bool = True) -> None:
    def define(name: str, base: type[models.Model], **attributes: Any) -> None:
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": f"the {name}"})
        type(name, (base,), {"__module__": __name__, "Meta": meta, **attributes})

    opened = type("PGCraft", (), {"api": API(name="papers", grants={"anon": ["select"], "webuser": ["select"]})})
    define("Paper", PGCraftSimple, PGCraft=opened, text=models.TextField())
    if logins:
        define("Login", PGCraftLogin, user=models.TextField(null=True))


def without(apps: Apps) -> None:
    declare(apps, logins=False)


def functions(site: Site) -> list[Any]:
    return site.query(
        "SELECT n.nspname, p.proname, p.prosecdef, p.proconfig::text, p.provolatile,"
        " array(SELECT a.grantee::regrole::text FROM aclexplode(p.proacl) a WHERE a.grantee <> p.proowner ORDER BY 1)"
        " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.proname = 'check_token'"
    )


def test_migrations_find_the_function_and_take_it_back(world: World, site: Site) -> None:
    site.migrate(world.evolve(without))
    before = site.catalog()
    site.migrate(world.evolve(declare))
    pinned = '{"search_path=pg_catalog, pg_temp"}'
    assert functions(site) == [("api_request", "check_token", True, pinned, "s", ["anon", "webuser"])]
    there = site.catalog()
    site.unmigrate()
    assert site.catalog() == before
    site.migrate(world.order)
    assert site.catalog() == there
    site.migrate(world.evolve(without))
    assert site.catalog() == before


def test_what_is_set_changes_the_function(world: World, site: Site, settings: Settings) -> None:
    site.migrate(world.evolve(declare))
    settings.PGCRAFT = {**settings.PGCRAFT, "ROLES": ["anon", "webuser", "editor"], "POSTGREST": {"jwt-aud": "x"}}
    [changed] = world.evolve(declare)
    assert len(changed.operations) == 3  # shared objects, the function in place, and what is granted
    site.migrate([changed])
    assert functions(site)[0][-1] == ["anon", "editor", "webuser"]
    site.unmigrate()
    assert functions(site)[0][-1] == ["anon", "webuser"]


def test_the_configuration_names_the_function_only_where_there_are_logins(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("pgcraft_serve", "--print-config")
    assert 'db-pre-request = "api_request.check_token"' in capsys.readouterr().out
    settings.DATABASE_ROUTERS = [Elsewhere()]
    call_command("pgcraft_serve", "--print-config")
    assert "db-pre-request" not in capsys.readouterr().out


class Elsewhere:
    """Keeps logins out of every database."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if app_label == "entrance" else None


@pytest.fixture(scope="module")
def api(django_db_blocker: Any) -> Iterator[Served]:
    """An API for an audience, with odd names."""
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        changed = {**settings.PGCRAFT, "API_SCHEMA": "my.api größe", "POSTGREST": {"jwt-aud": "it's"}}
        stack.enter_context(override_settings(PGCRAFT=changed))
        world, site = World(), stack.enter_context(new_site())
        site.migrate(world.evolve(declare))
        yield stack.enter_context(serve(site.alias, SECRET, pre_request("default")))


def ask(api: Served, **claims: Any) -> tuple[int, str]:
    claims = {"role": "webuser", "exp": int(time.time()) + 60, **claims}
    token = jwt.encode({name: value for name, value in claims.items() if value is not None}, SECRET, "HS256")
    answer = api.anon.get("/papers", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.text


@pytest.mark.parametrize("audience", ["it's", ["other", "it's"]])
def test_a_token_for_this_api_is_taken(api: Served, audience: Any) -> None:
    assert ask(api, aud=audience) == (200, "[]")
    assert api.anon.get("/papers").text == "[]"


@pytest.mark.parametrize("audience", [None, "", "other", [], ["other"], {"it's": 1}, 1, "its"])
def test_a_token_for_another_api_or_for_none_is_refused(api: Served, audience: Any) -> None:
    status, text = ask(api, aud=audience)
    assert status == 401, text
    assert audience is not None or "The token is not for this API (aud)." in text


def test_one_look_into_an_index_is_all_that_a_request_pays(api: Served) -> None:
    with connections[api.alias].cursor() as cursor:
        cursor.execute(
            'INSERT INTO private."the Login" (id, created_at, expires_at, generation, auth_hash)'
            " SELECT 'login ' || n, now(), now(), 0, '' FROM generate_series(1, 5000) AS n"
        )
        cursor.execute('ANALYZE private."the Login"')
        cursor.execute(
            'EXPLAIN SELECT FROM private."the Login" WHERE id = \'{"sid": "login 7"}\'::jsonb ->> \'sid\''
            " AND revoked_at IS NULL"
        )
        assert "Index Scan" in cursor.fetchone()[0]
    assert ask(api, aud="it's", sid="login 7") == (200, "[]")
    assert ask(api, aud="it's", sid="login 5001")[0] == 401
