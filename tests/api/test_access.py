"""Who may do what: everything that is not granted is refused."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from django.db import connections

from pgcraft_django.objects import Function, FunctionGrant
from pgcraft_django.operations import Create
from pgcraft_django.postgrest.reload import notify_reload
from tests.support.served import Served

VERBS = {"select": "GET", "insert": "POST", "update": "PATCH", "delete": "DELETE"}
ALL = tuple(VERBS)

# Resource -> a row, its key, and what each role may do; as the models say, in other words.
GRANTS: dict[str, tuple[dict[str, Any], str, dict[str, tuple[str, ...]]]] = {
    "seats": ({"room": "Z", "number": 1}, "room", {"anon": ("select",), "webuser": ALL}),
    "notices": ({"text": "x"}, "text", {"anon": ("select",), "webuser": ("select", "insert")}),
    "complaints": ({"text": "x"}, "text", {"anon": ("insert",)}),
    "holidays": ({"name": "x"}, "name", {"anon": ("select",)}),
    "closed": ({"text": "x"}, "text", {}),
    "groups": ({"name": "x"}, "name", {"webuser": ("select", "insert", "update")}),
    "user_names": ({"name": "x"}, "name", {"anon": ("select",)}),
}


@pytest.mark.parametrize("role", ["anon", "webuser"])
@pytest.mark.parametrize("resource", GRANTS)
def test_a_role_does_what_it_was_granted_and_nothing_else(school: Served, resource: str, role: str) -> None:
    row, key, grants = GRANTS[resource]
    client: httpx.Client = getattr(school, role)
    privileges = grants.get(role, ())
    for verb, method in VERBS.items():
        path = f"/{resource}" if verb == "insert" else f"/{resource}?{key}=eq.nobody"
        answer = client.request(method, path, json=row if verb in ("insert", "update") else None)
        # To update or delete what a filter names, PostgreSQL wants the right to read it too.
        if verb in privileges and (verb in ("insert", "select") or "select" in privileges):
            assert answer.is_success, (verb, answer.text)
        else:
            assert answer.status_code == (401 if role == "anon" else 403), (verb, answer.text)
            assert answer.json()["code"] == "42501"


def test_who_may_write_but_not_read_gets_nothing_back(school: Served) -> None:
    answer = school.anon.post("/complaints", json={"text": "x"}, headers={"Prefer": "return=minimal"})
    assert (answer.status_code, answer.content) == (201, b"")
    answer = school.anon.post("/complaints", json={"text": "y"}, headers={"Prefer": "return=representation"})
    assert answer.status_code == 401
    assert school.execute("SELECT count(*) FROM private.complaints") == [(2,)]


@pytest.mark.parametrize("schema", ["private", "archive", "public", "pg_catalog"])
def test_a_schema_that_is_no_api_is_out_of_reach(school: Served, schema: str) -> None:
    for client in (school.anon, school.webuser):
        assert client.get("/users", headers={"Accept-Profile": schema}).status_code == 406
        assert client.post("/users", json={}, headers={"Content-Profile": schema}).status_code == 406


def test_an_api_schema_is_closed_to_roles_without_a_grant_in_it(school: Served) -> None:
    answer = school.anon.get("/reports", headers={"Accept-Profile": "reports"})
    assert (answer.status_code, answer.json()["code"]) == (401, "42501")
    assert "permission denied for schema" in answer.json()["message"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT FROM private.users",
        "INSERT INTO private.complaints (text) VALUES ('x')",
        "SELECT FROM archive.reports",
        "SELECT nextval('private.users_id_seq')",
        "CREATE TABLE api.mine ()",
        "CREATE TABLE public.mine ()",
        "CREATE SCHEMA mine",
        "CREATE VIEW api.mine AS SELECT 1",
    ],
)
@pytest.mark.parametrize("role", ["anon", "webuser"])
def test_a_role_reaches_tables_through_their_views_only(school: Served, role: str, statement: str) -> None:
    with psycopg.connect(**connections[school.alias].get_connection_params()) as connection:
        connection.execute(f"SET ROLE {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
        connection.rollback()


def test_a_token_cannot_name_a_role_that_was_not_given_to_the_authenticator(school: Served) -> None:
    for role in ("postgres", "pg_read_all_data", "nobody"):
        answer = school.anon.get("/users", headers=school.token(role=role))
        assert answer.status_code in (400, 401, 403), answer.text
        assert answer.json()["code"] in ("42501", "22023")
    assert school.anon.get("/users", headers={"Authorization": "Bearer a.b.c"}).status_code == 401


# -- Functions ---------------------------------------------------------------------------------------------------

# Not in SQL: PostgreSQL would put the text into the plan, and look at the right to execute only when it plans.
GREET = Function(
    schema="api",
    name="greet",
    returns="text",
    language="plpgsql",
    volatility="stable",
    body="AS $$ BEGIN RETURN 'Hello'; END $$",
)


@contextmanager
def made(school: Served, *objects: Any) -> Iterator[None]:
    """Make objects as a migration would, and let PostgREST know."""
    operation = Create(objects)
    for statement in operation.statements():
        school.execute(statement)
    notify_reload(school.alias)
    try:
        yield
    finally:
        for statement in operation.reversed_statements():
            school.execute(statement)
        notify_reload(school.alias)


def call(client: httpx.Client) -> httpx.Response:
    """Call the function as soon as PostgREST knows it."""
    deadline = time.monotonic() + 20
    while (answer := client.get("/rpc/greet")).status_code == 404 and time.monotonic() < deadline:
        time.sleep(0.01)
    return answer


def test_a_function_is_closed_to_everybody(school: Served) -> None:
    with made(school, GREET):
        assert call(school.anon).json()["code"] == "42501"
        assert call(school.webuser).json()["code"] == "42501"


def test_a_function_is_open_to_whom_it_was_granted(school: Served) -> None:
    with made(school, GREET, FunctionGrant(schema="api", function="greet", role="webuser")):
        assert call(school.webuser).json() == "Hello"
        assert call(school.anon).json()["code"] == "42501"


# -- Excluded columns --------------------------------------------------------------------------------------------


def test_an_excluded_column_is_nowhere(school: Served) -> None:
    client = school.webuser
    assert all(row.keys() == {"id", "name", "email"} for row in client.get("/users").json())
    body = {"name": "x", "password_hint": "x"}
    for answer in (
        client.get("/users?select=password_hint"),
        client.get("/users?select=name,password_hint::text"),
        client.get("/users?password_hint=eq.blue"),
        client.get("/users?or=(password_hint.eq.blue,id.eq.2)"),
        client.get("/users?order=password_hint"),
        client.get("/students?select=users(password_hint)"),
        client.get("/students?select=users!inner(name)&users.password_hint=eq.blue"),
        client.get("/students?select=name,users(name)&order=users(password_hint)"),
        client.post("/users", json=body),
        client.post("/users?columns=name,password_hint", json=body),
        client.patch("/users?id=eq.1", json=body),
        client.put("/users?id=eq.1", json={"id": 1, "email": None, **body}),
        client.post("/users?on_conflict=password_hint", json=body, headers={"Prefer": "resolution=merge-duplicates"}),
        client.delete("/users?password_hint=eq.blue"),
    ):
        assert answer.status_code == 400, (answer.request.method, str(answer.request.url), answer.text)
    assert school.execute("SELECT password_hint FROM private.users ORDER BY id") == [("blue",), ("red",), ("",)]
    for text in (client.get("/").text, client.options("/users").text):
        assert "password_hint" not in text
        assert "Never shown" not in text


def test_an_excluded_column_is_closed_in_the_database_too(school: Served) -> None:
    (row,) = school.execute(
        "SELECT bool_or(has_column_privilege(role, 'private.users', 'password_hint', privilege))"
        " FROM unnest(ARRAY['anon', 'webuser']) role, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) privilege"
    )
    assert row == (False,)
