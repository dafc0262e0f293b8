"""A condition has one text, whichever release of Django says it: with another text, an upgrade would be a migration.

`conditions.sql` was written with Django 5.2, the oldest. These tests also run with the newest.
"""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.migrations.state import AppConfigStub
from django.db.models import Case, F, Q, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Concat, ExtractYear, JSONObject, Length, Lower, Now, TruncDay

from pgcraft_django.conditions import condition_sql
from pgcraft_django.factories.base import default_sql
from pgcraft_django.factories.eav.sql import condition_sql as attribute_condition_sql
from pgcraft_django.models import PGCraftEAV, PGCraftSimple
from pgcraft_django.policies import Claim
from pgcraft_django.policies.conditions import render

TEXTS = Path(__file__).with_name("conditions.sql")
OF_THE_ROW = [
    Q(name="a", number__gt=1),
    ~(Q(name__icontains="50%'") | Q(number__isnull=True)),
    Q(number=1) ^ Q(is_open=True),
    Q(name__startswith=F("code")),
    Q(name__iregex="^a"),
    Q(name__in=["a", None], number__range=(1, F("id"))),
    Q(number__in=[1, F("id")]),
    Q(number__in=[]),
    ~Q(number__in=[]),
    Q(number__lt=2**40),
    Q(number=Case(When(name="x", then=1), When(is_open=True, then=F("number")), default=3)),
    Q(number=Coalesce(2 * F("number") - 1, 7)),
    Q(number__gt=Length("name")),
    Q(name=Lower(Concat("code", Value("-"), "code"))),
    Q(name=Cast("number", models.TextField())),
    Q(at__lt=Now() - datetime.timedelta(days=3)),
    Q(at__gt=TruncDay(Now())),
    Q(at__date=datetime.date(2026, 1, 1), at__year__gte=2020),
    Q(number=ExtractYear("at")),
    Q(data__a__b=1) | Q(data__a=None) | Q(data__has_keys=["a", "b"]) | Q(data__contains={"a": ["%"]}),
    Q(data__a__in=["x", 1], data__a__icontains="x"),
    Q(name=KT("data__a__b"), data=JSONObject(a="name")),
    Q(is_open=Q(number__gt=3)),
    Q(is_open=Q(number__isnull=True)),
    Q(number=Claim("app", "number")),
    Q(name__iexact=Claim("50%'s", "e%mail")),
    Q(data__owner=Claim("sub")),
    Q(number__in=[Claim("first"), 3]),
]
OF_ARRAYS = [Q(codes__contains=["a"]), Q(codes__len=2, codes__0="x"), Q(codes__overlap=["a", "b"])]
BEHIND_RELATIONS = [
    Q(owner__name=Claim("sub")),
    ~Q(owner__boss__name__icontains="a%"),
    Q(owner__staff__name="x") | Q(clubs__name__in=["a", "b"]),
    Q(owner__boss__staff__isnull=True),
    Q(owner__boss__name="x", owner__name="y", number=1),
    Q(owner__name__in=[]),
    Q(owner__boss__in=[3], clubs__id__in=[Claim("club"), 4]),
    Q(owner=3, clubs__isnull=False),
]
DEFAULTS = [Now(), Lower(Value("X%")), Value(1) + Value(2), Value({"a": 1}, models.JSONField())]


@pytest.fixture
def apps() -> Apps:
    """A project with people, clubs and things."""
    apps = Apps([AppConfigStub("shop")])

    def define(name: str, base: Any, /, **fields: Any) -> None:
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": f"{name.lower()}s"})
        type(name, (base,), {"__module__": __name__, "Meta": meta, **fields})

    def plain() -> dict[str, Any]:
        return {
            "name": models.TextField(null=True),
            "code": models.CharField(max_length=9, null=True),
            "number": models.IntegerField(null=True),
            "at": models.DateTimeField(null=True),
            "data": models.JSONField(null=True),
            "is_open": models.BooleanField(default=False),
        }

    boss = models.ForeignKey("self", models.CASCADE, null=True, related_name="staff")
    define("Person", PGCraftSimple, name=models.TextField(), boss=boss)
    define("Club", PGCraftSimple, name=models.TextField())
    owner = models.ForeignKey("shop.Person", models.CASCADE, related_name="things")
    codes = ArrayField(models.TextField(), null=True)
    define("Thing", PGCraftSimple, **plain(), owner=owner, codes=codes, clubs=models.ManyToManyField("shop.Club"))
    define("Part", PGCraftEAV, **plain())
    return apps


def texts(apps: Apps) -> Iterator[str]:
    thing, part = apps.get_model("shop", "Thing"), apps.get_model("shop", "Part")
    yield from (condition_sql(thing, condition, "new")[0] for condition in OF_THE_ROW + OF_ARRAYS)
    yield from (attribute_condition_sql(part, condition, "new")[0] for condition in OF_THE_ROW)
    for condition in OF_THE_ROW + OF_ARRAYS + BEHIND_RELATIONS:
        rendered = render(thing, condition, "may")
        yield "\n".join([rendered.sql, *(function.body for function in rendered.functions)])
    for default in DEFAULTS:
        field = models.TextField(db_default=default)
        field.set_attributes_from_name("made")
        field.model = part
        yield str(default_sql(field))


def test_a_condition_has_the_same_text_in_each_django(apps: Apps) -> None:
    assert "\n\n".join(texts(apps)) + "\n" == TEXTS.read_text()
