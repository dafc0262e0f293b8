"""The description of the API that PostgREST makes from the database's comments."""

from typing import Any

import httpx

from tests.support.served import Served


def description(client: httpx.Client, schema: str = "api") -> Any:
    answer = client.get("/", headers={"Accept": "application/openapi+json", "Accept-Profile": schema})
    assert answer.status_code == 200
    return answer.json()


def paths(client: httpx.Client) -> set[str]:
    return {path for path in description(client)["paths"] if not path.startswith("/rpc/")}


def test_docstrings_help_texts_and_comments_are_shown(school: Served) -> None:
    definitions = description(school.anon)["definitions"]
    users = definitions["users"]
    assert users["description"] == "Who can sign in.\n\nHints are nobody's business."
    assert users["properties"]["name"]["description"] == "What we call them."
    assert users["properties"]["email"]["description"] == "Where we write to: it's unique."
    assert users["properties"].keys() == {"id", "name", "email"}
    assert definitions["user_names"]["properties"].keys() == {"id", "name"}
    assert definitions["Größe & Order"]["properties"]["Mixed Case"]["description"] == 'It\'s "odd", 100%\\'


def test_keys_are_shown(school: Served) -> None:
    definitions = description(school.anon)["definitions"]
    assert "<pk/>" in definitions["users"]["properties"]["id"]["description"]
    assert "<pk/>" in definitions["seats"]["properties"]["room"]["description"]
    assert "<fk table='courses' column='code'/>" in definitions["presets"]["properties"]["favourite_id"]["description"]


def test_a_role_is_shown_what_it_was_granted(school: Served) -> None:
    anon, webuser = paths(school.anon), paths(school.webuser)
    assert {"/users", "/students", "/complaints", "/holidays", "/user_names"} <= anon
    assert not anon & {"/groups", "/closed", "/grades", "/reports", "/auth_group"}
    assert {"/groups", "/users"} <= webuser
    assert not webuser & {"/complaints", "/closed", "/holidays", "/grades"}
    assert description(school.webuser, "reports")["paths"].keys() == {"/", "/reports"}


def test_methods_are_those_that_were_granted(school: Served) -> None:
    assert description(school.anon)["paths"]["/users"].keys() >= {"get"}
    answer = school.anon.options("/users")
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(answer.headers["Allow"].split(","))
