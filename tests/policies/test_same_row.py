"""What a condition says of a relation is about the same row behind it, as in `filter()`."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.core.exceptions import FieldError
from django.db import models
from django.db.migrations.state import AppConfigStub
from django.db.models import F, Q
from django.db.models.functions import Lower

import pgcraft_django
from pgcraft_django.api import API
from pgcraft_django.models import PGCraftSimple
from pgcraft_django.policies import Claim, Policy
from pgcraft_django.policies.conditions import render
from tests.support.world import World, new_site

ME = Q(memberships__person=Claim("sub"))
CHIEF = Q(memberships__is_chief=True)
OLD = Q(memberships__is_old=True)
CONDITIONS = {
    "keywords": Q(memberships__person=Claim("sub"), memberships__is_chief=True),
    "and": ME & CHIEF,
    "brackets": ME & Q(CHIEF),
    "either": ME & (CHIEF | OLD),
    "mixed": ME & (CHIEF | Q(is_public=True)),
    "twice": (ME | Q(is_public=True)) & (CHIEF | Q(is_public=True)),
    "linked": Q(people__name=Claim("name")) & CHIEF,
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_what_is_said_of_a_relation_is_about_the_same_row(name: str, unblocked: None) -> None:
    def declare(apps: Apps) -> None:
        def define(name: str, fields: dict[str, Any], **options: Any) -> None:
            meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": f"{name.lower()}s"})
            inner = type("PGCraft", (), {"api": API(grants={"webuser": ["select"]}), **options})
            type(name, (PGCraftSimple,), {"__module__": __name__, "Meta": meta, "PGCraft": inner, **fields})

        define("Person", {"name": models.TextField()}, api=None)
        define(
            "Team",
            {
                "is_public": models.BooleanField(default=False),
                "people": models.ManyToManyField("shop.Person", through="shop.Membership"),
            },
            policies=[Policy("chief", commands=["select"], using=CONDITIONS[name])],
        )
        define(
            "Membership",
            {
                "team": models.ForeignKey("shop.Team", models.CASCADE, related_name="memberships"),
                "person": models.ForeignKey("shop.Person", models.CASCADE),
                "is_chief": models.BooleanField(default=False),
                "is_old": models.BooleanField(default=False),
            },
            api=None,
        )

    with new_site() as site:
        site.migrate(World().evolve(declare))
        site.query("INSERT INTO persons (name) VALUES ('Ann'), ('Bob')")
        site.query("INSERT INTO teams (is_public) VALUES (false)")
        site.query(
            "INSERT INTO memberships (team_id, person_id, is_chief, is_old)"
            " VALUES (1, 1, true, false), (1, 2, false, false)"
        )
        for person, seen in (("1", [(1,)]), ("2", []), ("3", [])):
            claims = {"sub": person, "name": {"1": "Ann", "2": "Bob"}.get(person, "")}
            with pgcraft_django.as_role("webuser", claims=claims, using=site.alias):
                assert site.query("SELECT id FROM api.teams") == seen, person
        site.query("UPDATE teams SET is_public = true")
        with pgcraft_django.as_role("webuser", claims={"sub": "2", "name": "Bob"}, using=site.alias):
            assert len(site.query("SELECT id FROM api.teams")) == (name in ("mixed", "twice"))


def test_a_generic_relation_is_refused_because_it_joins_rows_of_other_models() -> None:
    class Tag(models.Model):
        content_type = models.ForeignKey("contenttypes.ContentType", models.CASCADE)
        object_id = models.BigIntegerField()
        person = models.TextField()
        item = GenericForeignKey()

        class Meta:
            apps = Apps()
            app_label = "shop"

    class Note(models.Model):
        tags = GenericRelation(Tag)

        class Meta:
            apps = Tag._meta.apps
            app_label = "shop"

    with pytest.raises(FieldError, match="generic relation"):
        render(Note, Q(tags__person=Claim("sub")), "owner")


@pytest.mark.parametrize("value", [F("tenant"), Lower(F("tenant")), [F("tenant")]])
def test_a_field_of_the_row_is_not_taken_for_one_behind_the_relation(value: Any) -> None:
    class Meta:
        apps = Apps([AppConfigStub("shop")])
        app_label = "shop"

    options = {"__module__": __name__, "Meta": Meta, "tenant": models.TextField()}
    team = type("Team", (models.Model,), dict(options))
    key = models.ForeignKey(team, models.CASCADE, related_name="links")
    type("Link", (models.Model,), {**options, "tenant": models.TextField(), "team": key})
    lookup = "in" if isinstance(value, list) else "exact"
    for condition in (
        Q(**{f"links__tenant__{lookup}": value}),
        Q(**{f"links__tenant__{lookup}": value}, links__id=Claim("sub")),
        ~Q(**{f"links__tenant__{lookup}": value}),
    ):
        with pytest.raises(FieldError, match="takes no F"):
            render(team, condition, "owner")
