"""The same requests to a model of each kind and to a plain table, at random: the same answers, and the same rows."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from django.apps.registry import Apps
from django.contrib.postgres.fields import ArrayField
from django.db import models

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftSimple, PGCraftStateMachine
from tests.eav.catalogue import define
from tests.support.served import Served, serve
from tests.support.world import evolved

KINDS = {
    "simples": PGCraftSimple,
    "versioneds": PGCraftAppendOnly,
    "attributeds": PGCraftEAV,
    "machines": PGCraftStateMachine,
}
PLAIN = "reports"
"""A schema that is served, where there is one: the school has an API in it."""
REQUESTS = 120

CATS = """
    CREATE SCHEMA reports;
    GRANT USAGE ON SCHEMA reports TO webuser;
    CREATE TABLE reports.cats (id bigint PRIMARY KEY, title text);
    GRANT ALL ON reports.cats TO webuser;
"""
TABLE = """
    CREATE TABLE reports.{kind} (
        id bigint PRIMARY KEY, name varchar(9) NOT NULL UNIQUE, num integer CHECK (num < 1000),
        flag boolean NOT NULL DEFAULT false, word text NOT NULL DEFAULT 'it''s "100%"', doc jsonb,
        tags text[] NOT NULL DEFAULT '{{}}', cat_id bigint REFERENCES reports.cats DEFERRABLE INITIALLY DEFERRED
    );
    GRANT ALL ON reports.{kind} TO webuser;
"""
FILTERS = [
    *("id=eq.1", "id=in.(1,2,3)", "num=is.null", "num=gte.2", "flag=is.true", "word=ilike.*a*", "word=fts.ab"),
    *("doc->a=not.is.null", "doc->>s=eq.x", "tags=cs.{y}", "tags=ov.{x,y}", "cat_id=eq.1", "name=like(any).{a*,b*}"),
    *("or=(id.eq.1,and(num.gt.1,flag.is.false))", "not.and=(id.gt.2,num.is.null)", "num=isdistinct.1"),
]
SELECTS = [
    *("id,name,num,flag,word,doc,tags,cat_id", "id,n:num::text,doc->a,tags->0", "id,cats(title)", "id,...cats(title)"),
    *("id,cats!inner(title)", "id,doc->>s", "nope", "id,cats(nope)"),
]
ACCEPTED = [
    *("application/json", "text/csv", "application/vnd.pgrst.object+json"),
    *("application/vnd.pgrst.array+json;nulls=stripped", "text/plain"),
]
VALUES: dict[str, list[Any]] = {
    "name": ["a", "ab", "b", "ä\"'\\", "c,d", "e", "f", None, "too long a name"],
    "num": [1, 2, 999, None, 1000],
    "flag": [True, False, None],
    "word": ["ab", "", "größe\n", None],
    "doc": [{"a": {"b": [1]}, "s": "x"}, [1, None], "s", None],
    "tags": [["x", "y"], [], [None], None],
    "cat_id": [1, 2, None, 77],
}
WRONG = {"num": "many", "flag": "maybe", "tags": "none", "nope": 1}


@dataclass
class Request:
    """What is sent to both sides."""

    method: str
    query: list[str]
    headers: dict[str, str]
    body: Any = None

    def send(self, client: httpx.Client, kind: str, schema: str) -> httpx.Response:
        headers = {**self.headers, "Accept-Profile": schema, "Content-Profile": schema}
        content = None if self.body is None else json.dumps(self.body)
        if content is not None:
            headers["Content-Type"] = "application/json"
        path = f"/{kind}?{'&'.join(self.query)}"
        return client.request(self.method, path, headers=headers, content=content)


@pytest.fixture(scope="module")
def server(django_db_blocker: Any) -> Iterator[Served]:
    with django_db_blocker.unblock(), evolved(declare) as (_, site):
        site.query(CATS + "".join(TABLE.format(kind=kind) for kind in KINDS))
        for schema in ("private", PLAIN):
            site.query(f"INSERT INTO {schema}.cats (id, title) VALUES (1, 'one'), (2, 'two')")
        with serve(site.alias) as served:
            yield served


def declare(apps: Apps) -> None:
    api = API(grants={"webuser": "all"})
    define(apps, "Cat", "cats", PGCraftSimple, {"title": models.TextField()}, api=api)
    for kind, base in KINDS.items():
        fields: dict[str, Any] = {
            "name": models.CharField(max_length=9, unique=True),
            "num": models.IntegerField(null=True),
            "flag": models.BooleanField(default=False),
            "word": models.TextField(default='it\'s "100%"'),
            "doc": models.JSONField(null=True),
            "tags": ArrayField(models.TextField(), default=list),
            "cat": models.ForeignKey("shop.Cat", models.CASCADE, null=True, related_name=kind),
        }
        options: dict[str, Any] = {}
        if base is PGCraftStateMachine:
            fields["state"] = models.TextField(default="new")
            options["transitions"] = {"new": ["done"]}
        check = models.CheckConstraint(condition=models.Q(num__lt=1000), name=f"{kind}_num_check")
        define(apps, kind[:-1].title(), kind, base, fields, {"constraints": [check]}, api=api, **options)


def any_request(some: random.Random, kind: str) -> Request:
    """Return a request that may well be refused."""
    method = some.choices(["GET", "POST", "PATCH", "PUT", "DELETE"], [4, 8, 5, 2, 1])[0]
    if method == "PUT" and kind == "attributeds":  # there is a function for that
        method = "POST"
    prefer = [f"return={some.choice(['representation'] * 3 + ['minimal', 'headers-only'])}"]
    query = [f"select={some.choice(SELECTS[:-2] * 3 + SELECTS)}", "order=id"]
    if method in ("GET", "PATCH", "DELETE"):
        query += some.sample(FILTERS, some.randint(1, 2))
        prefer += some.sample(["count=exact"], some.randint(0, 1))
    if method == "GET":
        query += some.sample([f"limit={some.randint(0, 3)}", f"offset={some.randint(0, 3)}"], some.randint(0, 2))
    request = Request(method, query, {"Accept": some.choice([*ACCEPTED[:1] * 4, *ACCEPTED])})
    if method == "POST":
        request.body = [_row(some) for _ in range(some.randint(1, 3))]
        if some.random() < 0.2:
            wrong = some.choice(list(WRONG))
            request.body[0][wrong] = WRONG[wrong]
        columns = list(dict.fromkeys(name for row in request.body for name in row))
        query.append(f"columns={','.join(columns)}")
        if kind != "attributeds":
            prefer += some.sample(["resolution=merge-duplicates", "resolution=ignore-duplicates"], some.randint(0, 1))
    elif method == "PATCH":
        request.body = {name: value for name, value in _row(some).items() if name != "id"}
        query.append(f"columns={','.join(some.sample([*request.body, 'word'], 1))}")
    elif method == "PUT":
        request.body = _row(some)
        query.append(f"id=eq.{request.body['id']}")
    prefer += some.sample(["missing=default"], some.choice([0, 1, 1]))
    request.headers["Prefer"] = ", ".join(prefer)
    return request


def _row(some: random.Random) -> dict[str, Any]:
    names = ["name", *some.sample(list(VALUES), some.randint(0, 4))]
    likely = {name: VALUES[name] if some.random() < 0.1 else VALUES[name][:2] for name in names}
    return {"id": some.randint(1, 6), **{name: some.choice(values) for name, values in likely.items()}}


def seen(answer: httpx.Response, schema: str) -> tuple[Any, ...]:
    """Return what a client sees: of a refusal, that which does not hang on names behind the API."""
    told = [answer.headers.get(name) for name in ("Content-Range", "Preference-Applied", "Location")]
    if answer.status_code >= 400 and answer.content:
        assert "private" not in answer.text
        return answer.status_code, answer.json()["code"], told
    if "json" in answer.headers.get("Content-Type", "") and answer.content:
        rows = answer.json()
        return answer.status_code, sorted(map(json.dumps, rows)) if isinstance(rows, list) else rows, told
    return answer.status_code, sorted(answer.text.splitlines()), told


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_sees_no_difference(server: Served, unblocked: None, kind: str) -> None:
    some = random.Random(kind)
    everything = Request("GET", [f"select={SELECTS[0]}", "order=id"], {})
    done = 0
    for _ in range(REQUESTS):
        request = any_request(some, kind)
        ours, plain = (request.send(server.webuser, kind, schema) for schema in ("api", PLAIN))
        assert seen(ours, "api") == seen(plain, PLAIN), (request, ours.text, plain.text)
        done += ours.is_success
        if request.method != "GET":
            ours, plain = (everything.send(server.webuser, kind, schema) for schema in ("api", PLAIN))
            assert ours.json() == plain.json(), request
    assert REQUESTS * 0.2 < done < REQUESTS
