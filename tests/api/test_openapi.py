"""What PostgREST says of the playground's API, taken at its word: whatever a client sends, the answer is no crash."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader
from hypothesis import HealthCheck, given, settings

from tests.support.served import Served, serve
from tests.support.world import new_site

ROWS = """
INSERT INTO users (name, email) VALUES ('Ann', 'ann@example.com'), ('Bob', NULL);
INSERT INTO students (name, user_id) VALUES ('Alice', 1);
INSERT INTO products (name, color) VALUES ('Chair', 'red');
INSERT INTO inventory (warehouse, sku, value) VALUES ('A', 'x', 5);
INSERT INTO orders (user_id, state) VALUES (1, 'pending');
"""
MISMATCHES = """
SELECT FROM (SELECT warehouse, sku, sum(value) AS value FROM private.inventory GROUP BY warehouse, sku) AS e
FULL JOIN private.inventory_balance AS b USING (warehouse, sku)
WHERE e.value IS DISTINCT FROM b.balance OR b.balance < 0
"""
EXAMPLES = int(os.environ.get("PGCRAFT_OPENAPI_EXAMPLES", "8"))
"""Of each operation."""
QUICK = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
FILTER = r"^(not\.)?(eq|neq|gt|lte|like|ilike|is|in|cs|fts)\.(null|\(1,2\)|[0-9]{1,20}|[a-z*%]*)$"


@pytest.fixture(scope="module")
def playground(django_db_blocker: Any) -> Iterator[Served]:
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        site = stack.enter_context(new_site())
        call_command("migrate", "auth", database=site.alias, verbosity=0)
        site.state = MigrationLoader(None).project_state([("auth", "0012_alter_user_first_name_max_length")])
        migration = import_module("playground_project.migrations.0001_initial").Migration
        site.migrate([migration("0001_initial", "playground_project")])
        for statement in ROWS.strip().split(";\n"):
            site.query(statement)
        yield stack.enter_context(serve(site.alias))


def narrowed(specification: dict[str, Any]) -> dict[str, Any]:
    """Return the specification with the words of PostgREST's queries, which are no more than texts in it."""
    for parameter in specification["parameters"].values():
        name, place = parameter["name"], parameter["in"]
        if name in ("limit", "offset"):
            parameter |= {"type": "integer", "minimum": 0, "maximum": 100}
        elif name in ("select", "on_conflict", "columns"):
            parameter |= {"enum": ["*", "id"]}
        elif name == "order":
            parameter |= {"enum": ["id.asc", "id.desc.nullslast"]}
        elif place == "query":
            parameter |= {
                "pattern": r"^(not\.)?(eq|neq|gt|lte|like|ilike|is|in|cs|fts)\.(null|\(1,2\)|[0-9]{1,20}|[a-z*%]*)$"
            }
    for definition in specification["definitions"].values():
        definition["additionalProperties"] = False
    specification["consumes"] = ["application/json"]
    return specification


def test_the_description_has_the_name_of_the_schema_for_its_title(playground: Served) -> None:
    assert playground.webuser.get("/").raise_for_status().json()["info"]["title"] == "api"


def test_each_resource_and_function_says_what_it_is_for(playground: Served) -> None:
    paths = playground.webuser.get("/").raise_for_status().json()["paths"]
    summaries = {path: operation.get("summary") for path, item in paths.items() for operation in item.values()}
    assert [path for path, summary in summaries.items() if not summary] == []
    assert summaries["/students_history"] == "Versions of students."
    assert summaries["/rpc/inventory_record"] == "Books an entry of one leg in inventory."
    step = paths["/rpc/orders_transition"]["post"]
    assert step["summary"] == "Leads a row of orders to another state."
    assert step["description"].startswith("pending → confirmed, cancelled\nconfirmed → shipped, cancelled\n\nWith from")


@pytest.mark.parametrize("adapt", [dict, narrowed], ids=["as it is", "in PostgREST's words"])
def test_whatever_a_client_sends_is_answered(
    playground: Served, adapt: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    client = playground.webuser
    specification = adapt(client.get("/").raise_for_status().json())
    accepted = set()
    for operation in (found.ok() for found in schemathesis.openapi.from_dict(specification).get_all_operations()):

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            answer = case.call(base_url=str(client.base_url), headers=dict(client.headers))
            assert answer.status_code < 500, answer.text
            if answer.status_code < 300:
                accepted.add(case.operation.method.upper())

        check()
    assert accepted == {"GET", "POST", "PATCH", "DELETE"}
    assert not playground.execute(MISMATCHES)
