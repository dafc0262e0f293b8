"""What `docs/errors.md` says of errors: all that there are, what Django makes of them, and what PostgREST answers."""

import inspect
import re
import time
from pathlib import Path

from psycopg import errors as of_psycopg

from pgcraft_django import errors
from pgcraft_django.objects import Function, FunctionGrant
from tests.api.test_access import made
from tests.support.served import Served

ROOT = Path(__file__).resolve().parents[2]
IN_PYTHON, _, IN_POSTGRESQL = (ROOT / "docs" / "errors.md").read_text().partition("## From PostgreSQL")
EXCEPTION = re.compile(r"^\| `(\w+)` \|([^|]*)\|.+\|$", re.MULTILINE)
CODE = re.compile(r"^\| `(\w{5})` \| (?:`(\w+)`)? ?\| `(\w+)` \| (\d{3}|—) \|", re.MULTILINE)
INTERNAL = {"triggered_action_exception"}
"""Raised and caught in one function."""

FAIL = Function(
    schema="api",
    name="fail",
    arguments='"code" text',
    returns="text",
    language="plpgsql",
    body="AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = code, MESSAGE = code; END $$",
)


def test_every_exception_is_documented_with_what_it_is_too() -> None:
    bases = {
        name: {base.__name__ for base in kind.__bases__} - {"Exception", "PGCraftError"}
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    }
    assert {name: set(re.findall(r"`(\w+)`", said)) for name, said in EXCEPTION.findall(IN_PYTHON)} == bases


def test_every_code_is_documented_with_what_django_makes_of_it() -> None:
    sources = [path for kind in ("*.sql", "*.py") for path in (ROOT / "pgcraft_django").rglob(kind)]
    raised = {
        name
        for path in sources
        for names in re.findall(r"""ERRCODE = '(\w+)'|"(\w+_violation)\"""", path.read_text())
        for name in names
    }
    rows = CODE.findall(IN_POSTGRESQL)
    assert {name or code for code, name, *_ in rows} == raised - INTERNAL - {""}
    for code, name, in_django, _ in rows:
        if name:
            kind = getattr(of_psycopg, "".join(map(str.capitalize, name.split("_"))))
            assert (kind.sqlstate, kind.__mro__[1].__name__) == (code, in_django)


def test_postgrest_answers_with_the_status_that_is_documented(school: Served) -> None:
    grant = FunctionGrant(schema="api", function="fail", arguments=FAIL.arguments, role="webuser")
    with made(school, FAIL, grant):
        deadline = time.monotonic() + 20
        while school.webuser.post("/rpc/fail", json={"code": "22023"}).status_code == 404:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for code, _, _, status in CODE.findall(IN_POSTGRESQL):
            if status != "—":  # before 16, PostgREST tries that again until it succeeds
                answer = school.webuser.post("/rpc/fail", json={"code": code})
                assert (str(answer.status_code), answer.json()["code"]) == (status, code)
