"""A school where everybody sees what is theirs, served by a PostgREST that is up."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.apps.registry import Apps
from django.db import models

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftLedger, PGCraftSimple, PGCraftStateMachine
from pgcraft_django.plugins import Balance
from pgcraft_django.policies import Claim, OwnerPolicy, Policy, PublicReadPolicy, TenantOwnerPolicy, TenantPolicy
from tests.support.served import Served, serve
from tests.support.world import evolved

GRANTS = {"anon": ["select"], "webuser": "all"}
READ = {"webuser": ["select"]}


def declare(apps: Apps) -> None:
    """Define people, and for each way to protect rows a model that has them."""

    def define(name: str, base: type[models.Model], fields: dict[str, Any], **options: Any) -> None:
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": f"{name.lower()}s"})
        inner = type("PGCraft", (), {"api": API(grants=GRANTS), **options})
        type(name, (base,), {"__module__": __name__, "Meta": meta, "PGCraft": inner, **fields})

    def person(**options: Any) -> Any:
        return models.ForeignKey("shop.Person", models.CASCADE, **{"related_name": "+", **options})

    text = models.TextField
    define("Person", PGCraftSimple, {"name": text()}, api=None)
    define("Note", PGCraftSimple, {"text": text(unique=True), "person": person()}, policies=[OwnerPolicy("person")])
    define(
        "Course",
        PGCraftSimple,
        {"title": text(), "teacher": person(), "pupils": models.ManyToManyField("shop.Person", related_name="courses")},
        policies=[
            OwnerPolicy("teacher"),
            Policy("pupils", commands=["select"], using=models.Q(pupils=Claim("sub"))),
        ],
    )
    define(
        "Lesson",
        PGCraftSimple,
        {"title": text(), "course": models.ForeignKey("shop.Course", models.CASCADE, related_name="lessons")},
        policies=[Policy("teacher", using=models.Q(course__teacher=Claim("sub")))],
    )
    define(
        "Paper",
        PGCraftSimple,
        {"text": text(), "tenant": models.UUIDField(), "person": person(), "is_public": models.BooleanField()},
        policies=[
            TenantOwnerPolicy("tenant", "person", tenant_claim="org"),
            Policy("public", commands=["select"], using=models.Q(is_public=True)),
            Policy("open_hours", using="current_user <> 'nobody'", permissive=False),
        ],
    )
    define(
        "Order",
        PGCraftStateMachine,
        {"person": person(), "state": models.TextField(default="new")},
        policies=[OwnerPolicy("person")],
        transitions={"new": ["done"]},
        transition_api=API(grants=READ),
        transition_grants={"webuser": "all"},
    )
    define(
        "Pupil",
        PGCraftAppendOnly,
        {"name": text(), "person": person()},
        policies=[OwnerPolicy("person"), PublicReadPolicy(roles=["staff"])],
        api=API(grants={**GRANTS, "staff": ["select"]}),
        history_api=API(grants={**READ, "staff": ["select"]}),
    )
    define(
        "Entry",
        PGCraftLedger,
        {"person": person(), "account": text()},
        policies=[OwnerPolicy("person")],
        plugins=[
            Balance(dimensions=["person", "account"], minimum=0, api=API(grants=READ)),
            Balance(dimensions=["account"], name="total", api=API(grants=READ)),
        ],
        api=API(grants={"anon": ["select"], "webuser": ["select", "insert"]}),
        record_grants=["webuser"],
    )
    define(
        "Product",
        PGCraftEAV,
        {"name": text(null=True), "owner": text(db_index=True), "price": models.IntegerField(null=True)},
        policies=[OwnerPolicy("owner")],
        attribute_api=API(grants=READ),
    )
    define("Room", PGCraftSimple, {"name": text(), "tenant": text()}, policies=[TenantPolicy("tenant")])


class School:
    """The API, and who may ask it."""

    def __init__(self, served: Served, apps: Apps) -> None:
        self.served = served
        self.apps = apps
        self.anon = served.anon

    def ask(self, method: str, path: str, person: int | None, body: Any = None, **claims: Any) -> httpx.Response:
        """Make a request as a person, or as nobody."""
        headers = {"Prefer": claims.pop("prefer", "return=representation")}
        if person is not None:
            headers |= self.served.token(**{"role": "webuser", "sub": str(person), **claims})
        return self.served.anon.request(method, path, json=body, headers=headers)

    def rows(self, path: str, person: int | None, **claims: Any) -> Any:
        answer = self.ask("GET", path, person, **claims)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def made(django_db_blocker: Any) -> Iterator[School]:
    with django_db_blocker.unblock(), evolved(declare) as (world, site):
        site.query("INSERT INTO persons (name) VALUES ('Ann'), ('Bob'), ('Cid')")
        with serve(site.alias) as served:
            yield School(served, world.apps)


@pytest.fixture
def school(made: School, unblocked: None) -> School:
    return made
