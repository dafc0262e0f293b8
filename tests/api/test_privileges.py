"""The privileges in the catalog are those that the models declare: each one, and no other."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connections, models

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftSimple
from tests.school.models import OPEN, Graduate, Student, Teacher
from tests.support.served import Served

ALL = ["select", "insert", "update", "delete"]


class Privilege(NamedTuple):
    """One line of what PostgreSQL's access lists say."""

    kind: str
    schema: str
    name: str
    column: str
    role: str
    privilege: str


FOUND = """
    WITH lists AS (
        SELECT 'schema' AS kind, nspname AS schema, '' AS name, '' AS "column", nspowner AS owner, nspacl AS acl
        FROM pg_namespace
        UNION ALL
        SELECT 'relation', relnamespace::regnamespace::text, relname, '', relowner, relacl FROM pg_class
        UNION ALL
        SELECT 'column', relnamespace::regnamespace::text, relname, attname, relowner, attacl
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE NOT attisdropped
        UNION ALL
        SELECT 'function', pronamespace::regnamespace::text, proname, pg_get_function_identity_arguments(oid),
               proowner, coalesce(proacl, acldefault('f', proowner))
        FROM pg_proc
    )
    SELECT kind, schema, name, "column", coalesce(pg_get_userbyid(nullif(a.grantee, 0)), 'PUBLIC'),
           lower(a.privilege_type)
    FROM lists, aclexplode(acl) a
    WHERE schema !~ '^(pg_|information_schema)' AND a.grantee <> owner
"""

# Each function makes one embedding; it is for whom may read all that it takes.
BOTH, ANON = ("anon", "webuser"), ("anon",)
FUNCTIONS = {
    ("courses", "students"): BOTH,
    ("students", "courses"): BOTH,
    ("friends", "students"): BOTH,
    ("admires", "students"): BOTH,
    ("admirers", "students"): BOTH,
    ("clubs_via_memberships", "students"): BOTH,
    ("members", "clubs"): BOTH,
    ("teaches", "teachers"): BOTH,
    ("teachers_via_teachers_teaches", "courses"): BOTH,
    ("assists", "teachers"): BOTH,
    ("assistants", "courses"): BOTH,
    ("courses", "graduates"): ANON,
    ("graduates", "courses"): ANON,
    ("friends", "graduates"): ANON,
    ("admires", "graduates"): ANON,
    ("admirers", "graduates"): ANON,
    ("clubs_via_memberships", "graduates"): ANON,
}


def exposed() -> Iterator[tuple[type[models.Model], str, API]]:
    """Yield model, schema of its table and API, as `models.py` and `pgcraft.py` of the apps declare them."""
    for model in (model for label in ("school", "entrance") for model in apps.get_app_config(label).get_models()):
        if issubclass(model, PGCraftSimple) and not model._meta.proxy:
            options: Any = getattr(model, "PGCraft", None)
            declared = getattr(options, "api", API())
            for api in declared if isinstance(declared, list) else [declared] if declared else []:
                yield model, getattr(options, "schema", "private"), api
    yield (
        Group,
        "public",
        API(name="groups", columns=["id", "name"], grants={"webuser": ["select", "insert", "update"]}),
    )
    yield Graduate, "private", API(name="graduates", columns=["id", "name"], grants={"anon": ["select"]})
    for field in (Student.courses, Student.friends, Student.admires, Teacher.teaches, Teacher.assists):
        yield field.through, "private", API(grants=OPEN)


def declared() -> Iterator[Privilege]:
    yield Privilege("schema", "public", "", "", "PUBLIC", "usage")  # as PostgreSQL makes every database
    for role in BOTH:  # each request's token is judged
        yield Privilege("schema", "api_request", "", "", role, "usage")
        yield Privilege("function", "api_request", "check_token", "", role, "execute")
        yield Privilege("function", "private", "letters_group_using_1", "", role, "execute")  # asked by a policy
    for (name, source), roles in FUNCTIONS.items():
        for role in roles:
            yield Privilege("function", "api", name, f"source api.{source}", role, "execute")
    for model, table_schema, api in exposed():
        schema, name, table = api.schema or "api", api.name or model._meta.db_table, model._meta.db_table
        names = api.columns or {field.name for field in model._meta.concrete_fields} - set(api.exclude or ())
        for role, granted in ({"anon": ["select"]} if api.grants is None else api.grants).items():
            yield Privilege("schema", schema, "", "", role, "usage")
            for privilege in ALL if granted == "all" else granted:
                yield Privilege("relation", schema, name, "", role, privilege)
                if privilege == "delete":
                    yield Privilege("relation", table_schema, table, "", role, "delete")
                    continue
                for field in (field for field in model._meta.concrete_fields if field.name in names):
                    if privilege == "select" or not field.generated:
                        yield Privilege("column", table_schema, table, field.column, role, privilege)


def check_privileges(alias: str) -> None:
    """Compare the whole database with the models."""
    with connections[alias].cursor() as cursor:
        cursor.execute(FOUND)
        found = {Privilege(*row) for row in cursor.fetchall()}
        cursor.execute("SELECT count(*) FROM pg_default_acl")
        assert cursor.fetchone() == (0,)
    wanted = set(declared())
    assert len(wanted) > 500
    assert sorted(found - wanted) == []
    assert sorted(wanted - found) == []


def test_the_catalog_grants_exactly_what_is_declared(school: Served) -> None:
    check_privileges(school.alias)


def test_no_privilege_can_be_passed_on(school: Served) -> None:
    grantable = school.execute(
        "SELECT FROM pg_class, aclexplode(relacl) a WHERE a.is_grantable AND a.grantee <> relowner"
    )
    assert grantable == []
