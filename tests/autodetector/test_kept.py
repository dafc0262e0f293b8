"""What becomes of tables that are kept after their models, when what they refer to goes as well."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import IntegrityError, models

from pgcraft_django.models import PGCraftAppendOnly, PGCraftLedger, PGCraftSimple, PGCraftStateMachine
from tests.support.world import World, evolved, new_site

Declare = Callable[[Apps], None]


def define(apps: Apps, name: str, base: type[models.Model], fields: dict[str, Any], **options: Any) -> None:
    attributes = {
        "__module__": __name__,
        "Meta": type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": name.lower()}),
        "PGCraft": type("PGCraft", (), options),
    }
    type(name, (base,), {**attributes, **fields})


def school(apps: Apps) -> None:
    define(apps, "School", PGCraftSimple, {"code": models.CharField(max_length=9, unique=True)})


def to_school(**options: Any) -> Any:
    return models.ForeignKey("shop.School", models.PROTECT, null=True, related_name="+", **options)


def student(apps: Apps) -> None:
    fields = {
        "name": models.TextField(),
        "school": to_school(),
        "by_code": to_school(to_field="code", db_column="Code"),
        "teacher": models.ForeignKey("self", models.PROTECT, null=True),
    }
    define(apps, "Student", PGCraftAppendOnly, fields)


def plain_student(apps: Apps) -> None:
    define(apps, "Student", PGCraftSimple, {"name": models.TextField()})


def fees(apps: Apps) -> None:
    define(apps, "Fees", PGCraftLedger, {"school": to_school(), "by_code": to_school(to_field="code")})


def visit(apps: Apps) -> None:
    define(
        apps,
        "Visit",
        PGCraftStateMachine,
        {"state": models.TextField(default="new")},
        transitions={"new": ["done"]},
        transition_fields={"school": to_school()},
    )


WRITE = {
    student: (
        "INSERT INTO school (code) VALUES ('x'); INSERT INTO student (name, school_id, \"Code\") VALUES ('a', 1, 'x');"
        "UPDATE student SET name = 'b'",
        'SELECT name, school_id, "Code" FROM student_history',
        [("a", 1, "x")],
    ),
    fees: (
        "INSERT INTO school (code) VALUES ('x'); INSERT INTO fees (value, school_id, by_code_id) VALUES (3, 1, 'x')",
        "SELECT value, school_id, by_code_id FROM fees",
        [(3, 1, "x")],
    ),
    visit: (
        "INSERT INTO visit DEFAULT VALUES",
        "SELECT to_state FROM visit_transition",
        [("new",)],
    ),
}
"""Declaration of a model with a log -> statements that fill it, a query for the log, and what that finds."""


@pytest.mark.parametrize(
    ("declare", "meanwhile"),
    [
        (student, []),
        (student, [lambda apps: school(apps)]),
        (student, [lambda apps: (school(apps), plain_student(apps)), plain_student]),
        (fees, []),
        (visit, []),
    ],
    ids=["history", "history, later", "history, plain meanwhile", "ledger", "state machine"],
)
def test_a_log_outlives_what_it_refers_to(unblocked: None, declare: Declare, meanwhile: list[Declare]) -> None:
    write, read, kept = WRITE[declare]
    world = World()

    def both(apps: Apps) -> None:
        school(apps)
        declare(apps)

    with new_site() as site, new_site() as empty:
        site.migrate(world.evolve(both))
        site.query(write)
        for step in [*meanwhile, lambda apps: None]:
            site.migrate(world.evolve(step))
        assert site.query(read) == kept
        assert world.graph.make_state().apps.get_models()  # every migration can be loaded
        site.migrate(world.evolve(lambda apps: define(apps, "Other", PGCraftSimple, {})))

        catalogs = []
        for migration in world.order:
            catalogs.append(empty.catalog())
            empty.migrate([migration])
        assert empty.catalog() == site.catalog()
        for before in reversed(catalogs):
            empty.unmigrate()
            assert empty.catalog() == before


def test_entries_of_a_ledger_do_not_refer_to_what_is_gone(unblocked: None) -> None:
    def both(apps: Apps) -> None:
        school(apps)
        fees(apps)

    with evolved(both) as (world, site):
        site.query(WRITE[fees][0])
        site.migrate(world.evolve(lambda apps: None))
        before = site.catalog()
        with pytest.raises(IntegrityError, match='table "fees" violates foreign key'):
            site.unmigrate()
        assert site.catalog() == before
