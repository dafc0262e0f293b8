"""Policies that `register()` gives to models without the mixin: tables of other apps, also of many-to-many fields."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import ProgrammingError, models, transaction
from django.db.models import Q

import pgcraft_django
from pgcraft_django import register
from pgcraft_django.api import API
from pgcraft_django.policies import Claim, OwnerPolicy, Policy
from tests.policies.test_migrations import security
from tests.support.catalog import differences
from tests.support.world import Site, World, new_site

ANN, BOB = "1", "2"
OPEN = API(grants={"webuser": "all"})


def declare(apps: Apps, *, team: Any = (), link: Any = ()) -> None:
    """Define an app that knows nothing of policies, and register its models in another one."""

    def define(name: str, /, **fields: Any) -> Any:
        meta = type("Meta", (), {"apps": apps, "app_label": "library", "db_table": f"{name.lower()}s"})
        return type(name, (models.Model,), {"__module__": __name__, "Meta": meta, **fields})

    define("Member", name=models.TextField())
    members = models.ManyToManyField("library.Member", related_name="teams")
    made = define("Team", owner=models.TextField(db_index=True), members=members)
    define("Desk", team=models.ForeignKey("library.Team", models.CASCADE))
    register(made, api=OPEN, policies=team, app_label="shop")
    register(made.members.through, api=OPEN, policies=link, app_label="shop")


def protected(apps: Apps) -> None:
    declare(
        apps,
        team=[OwnerPolicy("owner"), Policy("member", commands=["select"], using=Q(members__name=Claim("sub")))],
        link=[Policy("owner", using=Q(team__owner=Claim("sub")))],
    )


@pytest.fixture(scope="module")
def made(django_db_blocker: Any) -> Iterator[Site]:
    with django_db_blocker.unblock(), new_site() as site:
        site.migrate(World().evolve(protected))
        site.query("INSERT INTO members (name) VALUES ('1'), ('2')")
        site.query("INSERT INTO teams (owner) VALUES ('1'), ('2')")
        yield site


def refused(site: Site, sql: str) -> bool:
    with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic(using=site.alias):
        site.query(sql)
    return True


def test_they_hold_for_the_table_and_for_its_links(made: Site, unblocked: None) -> None:
    with pgcraft_django.as_role("webuser", claims={"sub": ANN}, using=made.alias):
        assert made.query("SELECT id FROM api.teams") == [(1,)]
        assert made.query("UPDATE api.teams SET owner = '1' WHERE id = 2 RETURNING id") == []
        assert refused(made, "INSERT INTO api.teams (owner) VALUES ('2')")
        assert refused(made, "INSERT INTO api.teams_members (team_id, member_id) VALUES (2, 1)")
        made.query("INSERT INTO api.teams_members (team_id, member_id) VALUES (1, 2)")
    with pgcraft_django.as_role("webuser", claims={"sub": BOB}, using=made.alias):
        assert made.query("SELECT id FROM api.teams ORDER BY id") == [(1,), (2,)]
        assert made.query("DELETE FROM api.teams WHERE id = 1 RETURNING id") == []
        assert made.query("SELECT id FROM api.teams_members") == []
    assert made.query("SELECT id, owner FROM teams ORDER BY id") == [(1, ANN), (2, BOB)]


def test_they_come_change_and_go_with_the_app_that_registers(unblocked: None) -> None:
    world = World()
    with new_site() as site:
        site.migrate(world.evolve(declare))
        for step, tables in (
            (protected, {"teams", "teams_members"}),
            (lambda apps: declare(apps, team=[OwnerPolicy("owner", commands=["select"])]), {"teams"}),
            (declare, set()),
        ):
            before = site.catalog()
            made = world.evolve(step)
            assert {migration.app_label for migration in made} == {"shop"}
            site.migrate(made)
            assert security(site)[0] == tables
            after = site.catalog()
            for _ in made:
                site.unmigrate()
            assert differences(site.catalog(), before) == {}
            site.migrate(made)
            assert differences(site.catalog(), after) == {}
