"""What projects test with: it fails when it has to, and leaves nothing behind."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from django.apps.registry import Apps
from django.core.management import call_command
from django.db import connections, models

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftSimple
from pgcraft_django.policies import Claim, OwnerPolicy, Policy, PublicReadPolicy
from pgcraft_django.testing import LiveAPI, assert_no_drift, assert_policy_isolates, live_api
from tests.school.models import Club
from tests.support.databases import ADMINISTRATOR, run_sql
from tests.support.world import World, new_site

ANN, BOB = {"sub": "ann"}, {"sub": "bob"}
MINE = OwnerPolicy("owner")
SEE_MINE = OwnerPolicy("owner", name="see", commands=["select"])


def everybody(command: str, **conditions: Any) -> Policy:
    return Policy(f"all_{command}", commands=[command], **{"using": "true", **conditions})


@contextmanager
def notes(
    policies: Sequence[Policy], *, grants: Any = "all", unique: bool = False, more: Sequence[API] = ()
) -> Iterator[tuple[Any, str]]:
    """Yield a model with `policies` and the alias of its database, where Ann and Bob have a note each."""

    def declare(apps: Apps) -> None:
        inner = type("PGCraft", (), {"api": [API(grants={"webuser": grants}), *more], "policies": list(policies)})
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "notes"})
        fields = {"owner": models.TextField(), "text": models.TextField(unique=unique)}
        type("Note", (PGCraftSimple,), {"__module__": __name__, "Meta": meta, "PGCraft": inner, **fields})

    world = World()
    with new_site() as site:
        site.migrate(world.evolve(declare))
        site.query("INSERT INTO notes (owner, text) VALUES ('ann', 'a'), ('bob', 'b')")
        yield world.apps.get_model("shop", "Note"), site.alias


# -- Policies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("grants", ["all", ["select"]], ids=["all", "select"])
def test_what_is_apart_is_found_to_be_so_and_stays_as_it_is(unblocked: None, grants: Any, unique: bool) -> None:
    with notes([MINE], grants=grants, unique=unique) as (note, alias):
        before = list(note.objects.using(alias).order_by("pk").values())
        assert_policy_isolates(note, role="webuser", claims=[ANN, BOB], using=alias)
        assert list(note.objects.using(alias).order_by("pk").values()) == before


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize(
    ("policies", "complaint"),
    [
        ([], "both see"),
        ([MINE, PublicReadPolicy()], "both see"),
        ([SEE_MINE, everybody("select"), everybody("update")], "both see"),
        ([SEE_MINE, everybody("insert", using=None, check="true")], "can add a row to those of"),
        ([SEE_MINE, OwnerPolicy("owner", name="write", commands=["update"], check="true")], "can hand a row over to"),
        ([SEE_MINE, everybody("update", check=models.Q(owner=Claim("sub")))], "can take a row of"),
        ([SEE_MINE, everybody("delete")], "can remove a row of"),
    ],
    ids=["none", "public", "open", "insert", "hand over", "take", "remove"],
)
def test_a_hole_is_found(unblocked: None, policies: Sequence[Policy], complaint: str, unique: bool) -> None:
    with notes(policies, unique=unique) as (note, alias), pytest.raises(AssertionError, match=complaint):
        assert_policy_isolates(note, role="webuser", claims=[ANN, BOB], using=alias)


def test_a_hole_is_found_behind_every_resource_and_with_columns_that_are_not_read(unblocked: None) -> None:
    blind = API(name="notes_new", columns=["owner", "text"], grants={"webuser": ["insert"]})
    policies = [SEE_MINE, everybody("insert", using=None, check="true")]
    with (
        notes(policies, grants=["select"], more=[blind]) as (note, alias),
        pytest.raises(AssertionError, match="can add a row to those of"),
    ):
        assert_policy_isolates(note, role="webuser", claims=[ANN, BOB], using=alias)


def test_only_the_rows_in_question_have_to_be_apart(unblocked: None) -> None:
    with notes([MINE, Policy("public", commands=["select"], using=models.Q(text="public"))]) as (note, alias):
        note.objects.using(alias).create(owner="bob", text="public")
        private = note.objects.exclude(text="public")
        assert_policy_isolates(private, role="webuser", claims=[ANN, BOB], using=alias)
        with pytest.raises(AssertionError, match="both see"):
            assert_policy_isolates(note, role="webuser", claims=[ANN, BOB], using=alias)


def test_nothing_is_proven_without_rows_or_with_one_request(unblocked: None) -> None:
    with notes([MINE]) as (note, alias):
        with pytest.raises(AssertionError, match=r"'cid'.* sees no row of shop.Note: make one"):
            assert_policy_isolates(note, role="webuser", claims=[ANN, {"sub": "cid"}], using=alias)
        with pytest.raises(ValueError, match="two requests"):
            assert_policy_isolates(note, role="webuser", claims=[ANN], using=alias)


# -- The live API --------------------------------------------------------------------------------------------------


def roles() -> set[str]:
    """Return the roles that this process has made to log in: others run tests on the same server."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_catalog.pg_roles")
        return {name for (name,) in cursor.fetchall() if name.startswith(f"authenticator_{os.getpid()}_")}


def test_the_test_database_is_served(live_api: LiveAPI) -> None:
    Club.objects.create(name="Chess")
    with live_api.client("webuser", sub="1") as client:
        assert [row["name"] for row in client.get("/clubs").raise_for_status().json()] == ["Chess"]


def test_rows_of_one_test_are_not_there_in_the_next(live_api: LiveAPI) -> None:
    with live_api.client("webuser") as client:
        assert client.get("/clubs").raise_for_status().json() == []


@contextmanager
def django_as(user: str, password: str) -> Iterator[None]:
    """Let Django use the test database as another user."""
    connection = connections["default"]
    connection.close()
    with mock.patch.dict(connection.settings_dict, {"USER": user, "PASSWORD": password}):
        yield
        connection.close()


@pytest.fixture
def maker(transactional_db: None) -> Iterator[None]:
    """Django's database user may make roles."""
    with django_as(**{key.lower(): value for key, value in ADMINISTRATOR.items()}):
        yield


@pytest.fixture
def login(maker: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The declared authenticator is there, with its password."""
    name = f"authenticator_{secrets.token_hex(4)}"
    settings.PGCRAFT = {**settings.PGCRAFT, "AUTHENTICATOR_ROLE": name}
    monkeypatch.setenv("PGRST_DB_PASSWORD", secrets.token_hex())
    call_command("pgcraft_roles", verbosity=0)
    yield
    run_sql(f"DROP OWNED BY {name}", database=connections["default"].settings_dict["NAME"])
    run_sql(f"DROP ROLE {name}")


@pytest.fixture
def plain(login: None) -> Iterator[None]:
    """Django's database user has no power over the cluster."""
    name = f"plain_{secrets.token_hex(4)}"
    run_sql(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
    with django_as(name, name):
        yield
    run_sql(f"DROP ROLE {name}")


@pytest.mark.usefixtures("maker")
def test_it_leaves_neither_a_role_nor_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGRST_JWT_SECRET", "the project's own")
    before = roles()
    with live_api() as api:
        assert len(roles() - before) == 1
        assert os.environ["PGRST_JWT_SECRET"] == api.secret
        assert api.secret not in repr(api)
    assert roles() == before
    assert os.environ["PGRST_JWT_SECRET"] == "the project's own"


@pytest.mark.usefixtures("plain")
def test_who_may_not_make_roles_serves_with_the_declared_authenticator() -> None:
    before = roles()
    with live_api() as api, api.client() as client:
        assert client.get("/clubs").status_code == 200
        assert roles() == before


# -- Drift ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def odd_role(settings: Any) -> Iterator[None]:
    """An authenticator that is not as the settings want it, as where the server is that of a site, too."""
    name = f"odd_{secrets.token_hex(4)}"
    settings.PGCRAFT = {**settings.PGCRAFT, "AUTHENTICATOR_ROLE": name}
    run_sql(f"CREATE ROLE {name}")
    run_sql(f"GRANT anon TO {name} WITH ADMIN OPTION")
    run_sql(f"ALTER ROLE {name} SET pgrst.db_schemas = 'api, press'")
    yield
    run_sql(f"DROP ROLE {name}")


@pytest.mark.django_db(transaction=True)
def test_drift_fails_a_test_with_each_difference_that_is_not_of_the_server(odd_role: None) -> None:
    assert_no_drift()
    run_sql("GRANT DELETE ON api.clubs TO anon", database=connections["default"].settings_dict["NAME"])
    try:
        with pytest.raises(AssertionError, match=r"not declared: privilege on a relation delete api\.clubs to anon"):
            assert_no_drift()
    finally:
        run_sql("REVOKE DELETE ON api.clubs FROM anon", database=connections["default"].settings_dict["NAME"])


@pytest.mark.django_db
def test_drift_says_that_it_needs_a_test_outside_a_transaction() -> None:
    with pytest.raises(RuntimeError, match=r"django_db\(transaction=True\)"):
        assert_no_drift()
