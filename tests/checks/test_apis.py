"""Each `API(…)` by itself: arguments, columns, grants."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models

from pgcraft_django.api import API
from pgcraft_django.registry import register
from tests.checks.declare import expect, messages, model

LONG = "x" * 64
BAD: list[tuple[str, API, str]] = [
    ("E031", API(name=5), 'API(name="people")'),  # type: ignore[arg-type]
    ("E031", API(schema=["api"]), 'API(schema="api")'),  # type: ignore[arg-type]
    ("E031", API(columns="name"), 'API(columns=["name"])'),
    ("E031", API(exclude="name"), 'API(exclude=["name"])'),
    ("E031", API(columns={"id", "name"}), 'API(columns=["id", "name"])'),  # type: ignore[arg-type]
    ("E031", API(columns=[1]), 'API(columns=["id", "name"])'),  # type: ignore[list-item]
    ("E032", API(columns=["id", "name"], exclude=["name"]), 'API(columns=["id"]) without exclude'),
    ("E033", API(columns=["id", "nmae"]), 'API(columns=["id", "name"]); the fields are "id", "name", "age", "owner"'),
    ("E033", API(exclude=["zzzzzz"]), 'The fields are "id", "name", "age", "owner"'),
    ("E033", API(columns=["id", "tags"]), "register(Person.tags.through, api=API())"),
    ("E033", API(columns=["pk"]), 'The fields are "id"'),
    ("E034", API(columns=["id", "name", "id"]), 'API(columns=["id", "name"])'),
    ("E034", API(columns=["owner", "owner_id"]), 'API(columns=["owner"])'),
    ("E035", API(columns=[]), 'API(columns=["id", "name"])'),
    ("E035", API(exclude=["id", "name", "age", "owner_id"]), "api = None"),
    ("E011", API(name=LONG), 'API(name="xxxx'),
    ("E011", API(name=""), 'API(name="name")'),
    ("E011", API(schema="a,b"), 'API(schema="a_b")'),
    ("E011", API(schema=LONG), 'API(schema="xxxx'),
    ("E012", API(schema="pg_catalog"), 'API(schema="api")'),
    ("E013", API(grants=["anon"]), 'grants={"anon": ["select"]}'),  # type: ignore[arg-type]
    ("E013", API(grants="webuser"), 'grants={"webuser": ["select"]}'),  # type: ignore[arg-type]
    ("E013", API(grants={"anon": "select"}), '"anon": ["select"]'),
    ("E013", API(grants={"anon": "ALL"}), '"anon": "all"'),
    ("E013", API(grants={"anon": 5}), '"anon": ["select"]'),  # type: ignore[dict-item]
    ("E013", API(grants={None: "all"}), 'grants={"anon": ["select"]}'),  # type: ignore[dict-item]
    ("E014", API(grants={"editor": ["select"]}), '"ROLES": ["anon", "editor", "webuser"] in PGCRAFT'),
    ("E014", API(grants={"web_user": ["select"]}), 'Write "webuser" here'),
    ("E014", API(grants={"authenticator": ["select"]}), 'request roles by name: "anon", "webuser"'),
    ("E014", API(grants={"public": ["select"]}), 'request roles by name: "anon", "webuser"'),
    ("E015", API(grants={"anon": ["select", "truncate"]}), '"anon": ["select"]'),
    ("E015", API(grants={"anon": ["Select", "inserts"]}), '"anon": ["select", "insert"]'),
    ("E015", API(grants={"anon": ["all"]}), '"anon": "all"'),
]


def person(apps: Apps, **options: Any) -> type[models.Model]:
    """Define a model with a field of each kind that matters here."""
    return model(
        apps,
        name=models.TextField(null=True),
        age=models.IntegerField(null=True),
        owner=models.ForeignKey("self", null=True, on_delete=models.CASCADE),
        tags=models.ManyToManyField(model(apps, "Tag")),
        meta={"db_table": "people"},
        **options,
    )


@pytest.mark.parametrize(("number", "api", "line"), BAD)
def test_a_wrong_api_is_one_error_that_says_what_to_write(apps: Apps, number: str, api: API, line: str) -> None:
    person(apps, pgcraft={"api": api})
    expect(messages(apps), number, line)


@pytest.mark.parametrize(("number", "api", "line"), BAD)
def test_a_registered_api_is_judged_alike(apps: Apps, number: str, api: API, line: str) -> None:
    register(person(apps, base=models.Model), api=api, app_label="shop")
    expect(messages(apps), number, line)


@pytest.mark.parametrize(
    "api",
    [
        API(),
        API(name="people", schema="api"),
        API(name='he said "hi" & größe', schema="second api"),
        API(columns=["id", "owner_id"]),
        API(columns=("name", "owner")),
        API(exclude=["name", "owner_id"]),
        API(exclude=["name", "name"]),
        API(grants={}),
        API(grants={"anon": [], "webuser": "all"}),
        API(grants={"webuser": ("select", "insert", "update", "delete")}),
    ],
)
def test_a_right_api_is_no_message(apps: Apps, api: API) -> None:
    person(apps, pgcraft={"api": api})
    assert messages(apps) == []


@pytest.mark.parametrize("api", ["people", {"name": "people"}, API, [API(), None]])
def test_a_registration_of_what_is_no_api_is_an_error(apps: Apps, api: Any) -> None:
    register(model(apps, base=models.Model), api=api, app_label="shop")
    expect(messages(apps), "E031", "register(Person, api=API())")


@pytest.mark.parametrize(
    "api",
    [
        API(columns="name"),
        API(exclude="name"),
        API(exclude={"name": True}),  # type: ignore[arg-type]
        API(columns=["name"], exclude=["name"]),
        API(grants={"anon": "select"}),
        API(grants="anon"),  # type: ignore[arg-type]
    ],
)
def test_what_is_not_understood_exposes_nothing(apps: Apps, api: API) -> None:
    from pgcraft_django.registry import get_resources

    model(apps, pgcraft={"api": api})
    assert not any(resource.grants and resource.fields for resource in get_resources(apps))
