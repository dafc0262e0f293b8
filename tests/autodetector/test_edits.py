"""Single edits: what `makemigrations` writes for them, and that `migrate` does it both ways."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models
from django.db.migrations import AlterField, Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.optimizer import MigrationOptimizer
from django.db.migrations.questioner import MigrationQuestioner

from pgcraft_django import registry
from pgcraft_django.api import API
from pgcraft_django.errors import MigrationError
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftSimple
from pgcraft_django.operations import AlterFieldType, Create, Drop, Replace, SetTableSchema
from tests.support.catalog import differences
from tests.support.world import Declare, Site, World, new_site

READ = API(grants={"anon": ["select"]})
RENAMED = MigrationQuestioner({"ask_initial": True, "ask_rename": True, "ask_rename_model": True})


def define(
    apps: Apps,
    name: str = "Person",
    *,
    label: str = "shop",
    table: str = "people",
    base: type[models.Model] = PGCraftSimple,
    api: Any = READ,
    schema: str = "private",
    meta: dict[str, Any] | None = None,
    **fields: Any,
) -> type[models.Model]:
    """Define a model in `apps`."""
    options = {"apps": apps, "app_label": label, "db_table": table, **(meta or {})}
    pgcraft = type("PGCraft", (), {"api": api, "schema": schema})
    attributes = {"__module__": __name__, "Meta": type("Meta", (), options), "PGCraft": pgcraft, **fields}
    return type(name, (base,), attributes)


def person(**options: Any) -> Declare:
    """Declare one model with a text field, and what else is given."""

    def declare(apps: Apps) -> None:
        define(apps, **{"name": "Person", "title": models.TextField(null=True), **options})

    return declare


Edit = Callable[..., list[Migration]]


@pytest.fixture
def edit(world: World, site: Site) -> Edit:
    """Go from one set of models to another, and check all that must hold whatever the edit was."""

    def go(before: Declare, after: Declare, questioner: MigrationQuestioner | None = None) -> list[Migration]:
        site.migrate(world.evolve(before))
        first = site.catalog()
        made = world.evolve(after, questioner)
        site.migrate(made)
        with new_site() as other:
            other.migrate(world.order)
            assert differences(site.catalog(), other.catalog()) == {}
        for _ in made:
            site.unmigrate()
        assert differences(site.catalog(), first) == {}
        site.migrate(made)
        return made

    return go


def operations(migrations: list[Migration]) -> list[Operation]:
    return [operation for migration in migrations for operation in migration.operations]


def shape(migrations: list[Migration]) -> list[str]:
    """Return the names of the operations' classes."""
    return [type(operation).__name__ for operation in operations(migrations)]


def as_role(site: Site, role: str, sql: str) -> list[tuple[object, ...]]:
    """Run a statement as a request role."""
    site.query(f"SET ROLE {role}")
    try:
        return site.query(sql)
    finally:
        site.query("RESET ROLE")


def test_a_new_field_is_exposed_and_granted_like_the_others(edit: Edit, site: Site) -> None:
    made = edit(person(), person(age=models.IntegerField(null=True)))
    assert shape(made) == ["Drop", "AddField", "Replace", "Create"]
    site.query("INSERT INTO people (title) VALUES ('x')")
    assert as_role(site, "anon", "SELECT title, age FROM api.people") == [("x", None)]


def test_a_migration_is_named_after_what_the_user_did(edit: Edit) -> None:
    made = edit(person(), person(age=models.IntegerField(null=True)))
    assert [migration.name for migration in made] == ["0002_person_age"]


def test_a_migration_without_model_changes_is_named_after_the_resource(edit: Edit) -> None:
    made = edit(person(), person(api=API(grants={"webuser": "all"})))
    assert [migration.name for migration in made] == ["0002_people_api"]


def test_a_change_of_nullability_leaves_the_view_alone(edit: Edit) -> None:
    made = edit(person(), person(title=models.TextField(default="x")))
    assert shape(made) == ["AlterField"]


def test_a_change_of_type_drops_the_view_and_puts_it_back_with_its_grants(edit: Edit, site: Site) -> None:
    made = edit(person(), person(title=models.CharField(max_length=9, null=True)))
    assert shape(made) == ["Drop", "AlterField", "Create"]
    assert as_role(site, "anon", "SELECT title FROM api.people") == []


def test_a_type_changes_though_the_column_has_a_default_that_cannot_be_cast(edit: Edit, site: Site) -> None:
    made = edit(person(title=models.TextField(default="7")), person(title=models.IntegerField(default=7)))
    assert [type(item) for item in operations(made) if isinstance(item, AlterField)] == [AlterFieldType]
    site.query("INSERT INTO people DEFAULT VALUES")
    assert site.query("SELECT title FROM people") == [(7,)]


def test_a_column_with_a_default_becomes_a_foreign_key(edit: Edit) -> None:
    def link(field: models.Field) -> Declare:
        def declare(apps: Apps) -> None:
            define(apps, "Book", table="books")
            define(apps, book=field)

        return declare

    key = models.ForeignKey("shop.Book", default=1, on_delete=models.CASCADE)
    edit(link(models.TextField(default="1")), link(key), MigrationQuestioner({"ask_rename": False}))


def test_a_renamed_field_keeps_its_rows_and_its_grants(edit: Edit, site: Site, world: World) -> None:
    def after(apps: Apps) -> None:
        define(apps, name="Person", heading=models.TextField(null=True))

    edit(person(), after, RENAMED)
    assert as_role(site, "anon", "SELECT heading FROM api.people") == []


def test_a_field_replaced_by_one_of_the_same_column_is_granted_again(edit: Edit, site: Site) -> None:
    """PostgreSQL forgets a column's grants with the column."""

    def before(apps: Apps) -> None:
        define(apps, "Book", table="books")
        define(apps, link_id=models.BigIntegerField(null=True))

    def after(apps: Apps) -> None:
        define(apps, "Book", table="books")
        define(apps, link=models.ForeignKey("shop.Book", null=True, on_delete=models.CASCADE))

    edit(before, after)
    assert as_role(site, "anon", "SELECT link_id FROM api.people") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"title": models.TextField(null=True, unique=True)},
        {"title": models.CharField(null=True, max_length=9, db_index=True, db_collation="C")},
        {"meta": {"unique_together": {("title", "id")}}},
        {"meta": {"constraints": [models.UniqueConstraint(fields=["title"], name="one_title")]}},
        {"meta": {"indexes": [models.Index(fields=["-title"], name="by_title")]}},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_indexes_and_constraints_come_and_go(edit: Edit, changes: dict[str, Any]) -> None:
    edit(person(), person(**changes))


def test_a_removed_model_takes_its_view_along_and_leaves_the_schema_to_others(edit: Edit, site: Site) -> None:
    def before(apps: Apps) -> None:
        define(apps, "Book", table="books")
        define(apps)

    edit(before, person())
    assert site.query("SELECT to_regclass('api.books'), to_regclass('private.books')") == [(None, None)]


def test_a_table_changes_its_schema_in_one_step(edit: Edit, site: Site) -> None:
    made = edit(person(), person(schema="other"))
    moves = [item.describe() for item in operations(made) if isinstance(item, SetTableSchema)]
    assert moves == ["Move people from schema private to other"]
    assert site.query("SELECT count(*) FROM pg_namespace WHERE nspname = 'private'") == [(0,)]


def test_a_linking_table_moves_with_its_model(edit: Edit, site: Site) -> None:
    def links(schema: str) -> Declare:
        def declare(apps: Apps) -> None:
            define(apps, "Book", table="books", schema=schema, people=models.ManyToManyField("shop.Person"))
            define(apps)

        return declare

    edit(links("private"), links("other"))
    assert site.query("SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'books_people'") == [
        ("other",)
    ]


def test_a_changed_comment_is_replaced_in_place(edit: Edit) -> None:
    made = edit(
        person(title=models.TextField(null=True, help_text="Old")),
        person(title=models.TextField(null=True, help_text="New")),
    )
    assert shape(made) == ["AlterField", "Replace"]


@pytest.mark.parametrize("base", [PGCraftSimple, PGCraftAppendOnly, PGCraftEAV])
def test_a_comment_comes_to_a_column_under_views_and_triggers(edit: Edit, site: Site, base: type[models.Model]) -> None:
    """With a comment Django sets the type of the column again, which PostgreSQL refuses under a view."""

    def commented(name: str, text: str | None) -> Declare:
        field = models.TextField(null=True, db_comment=text)
        return lambda apps: define(apps, **{"base": base, name: field})

    edit(commented("title", None), commented("title", "It's theirs"))
    edit(commented("title", "It's theirs"), commented("heading", "Ours"), RENAMED)
    assert as_role(site, "anon", "SELECT heading FROM api.people") == []
    assert site.query("SELECT col_description('api.people'::regclass, 2)") == [("Ours",)]


def test_the_docstring_that_django_writes_is_not_published(edit: Edit, site: Site) -> None:
    """It names hidden fields."""

    def declare(apps: Apps) -> None:
        model = define(apps, secret=models.TextField(null=True), api=API(exclude=["secret"], grants={"anon": "all"}))
        model.add_to_class("late", models.TextField(null=True))

    edit(person(), declare, MigrationQuestioner({"ask_rename": False}))
    assert site.query("SELECT obj_description('api.people'::regclass, 'pg_class')") == [(None,)]


def test_a_role_that_loses_a_privilege_has_it_revoked(edit: Edit, site: Site) -> None:
    edit(person(api=API(grants={"anon": "all"})), person(api=API(grants={"anon": ["select"]})))
    for relation in ("api.people", "private.people"):
        assert site.query(f"SELECT has_any_column_privilege('anon', '{relation}', 'INSERT')") == [(False,)]


def test_a_closed_api_leaves_no_privilege_behind(edit: Edit, site: Site) -> None:
    edit(person(), person(api=None))
    assert site.query("SELECT has_any_column_privilege('anon', 'people', 'SELECT')") == [(False,)]
    assert site.query("SELECT count(*) FROM pg_namespace WHERE nspname = 'api'") == [(0,)]


def test_a_plain_model_becomes_a_simple_one_and_back(edit: Edit, site: Site) -> None:
    def plain(apps: Apps) -> None:
        define(apps, base=models.Model, title=models.TextField(null=True))

    edit(plain, person())
    assert site.query("SELECT to_regclass('private.people') IS NOT NULL") == [(True,)]


def test_models_of_two_apps_that_refer_to_each_other(edit: Edit) -> None:
    def circle(length: int) -> Declare:
        def declare(apps: Apps) -> None:
            code, owner = models.CharField(unique=True, max_length=length), models.ForeignKey("shop.Person", **nullable)
            define(apps, "Book", label="library", table="books", code=code, owner=owner)
            define(apps, label="shop", book=models.ForeignKey("library.Book", to_field="code", **nullable))

        return declare

    nullable: dict[str, Any] = {"null": True, "on_delete": models.SET_NULL, "related_name": "+"}

    edit(circle(9), circle(12))


def test_a_key_that_changes_its_type_takes_the_views_of_another_app_along(edit: Edit) -> None:
    def keyed(key: models.Field) -> Declare:
        def declare(apps: Apps) -> None:
            define(apps, "Book", label="library", table="books", id=key)
            define(apps, label="shop", book=models.ForeignKey("library.Book", on_delete=models.CASCADE))

        return declare

    made = edit(keyed(models.AutoField(primary_key=True)), keyed(models.BigAutoField(primary_key=True)))
    labels = [migration.app_label for migration in made]
    assert labels.index("shop") < len(labels) - 1 - labels[::-1].index("library") < len(labels) - 1


def test_a_model_that_another_app_registers_can_still_change(edit: Edit, site: Site) -> None:
    def registered(field: models.Field) -> Declare:
        def declare(apps: Apps) -> None:
            book = define(apps, "Book", label="library", table="books", base=models.Model, title=field)
            registry.register(book, api=READ, app_label="shop")

        return declare

    made = edit(registered(models.TextField(null=True)), registered(models.CharField(max_length=9, null=True)))
    assert [migration.app_label for migration in made] == ["shop", "library", "shop"]
    assert as_role(site, "anon", "SELECT title FROM api.books") == []


def test_an_api_moves_to_another_app(edit: Edit, site: Site) -> None:
    def registered(label: str) -> Declare:
        def declare(apps: Apps) -> None:
            registry.register(define(apps, base=models.Model), api=READ, app_label=label)
            define(apps, "Book", label="library", table="books")

        return declare

    edit(registered("shop"), registered("library"))
    edit(registered("library"), registered("shop"))
    assert as_role(site, "anon", "SELECT id FROM api.people") == []


def test_a_table_changes_its_schema_under_the_view_of_another_app(edit: Edit) -> None:
    def links(schema: str) -> Declare:
        def declare(apps: Apps) -> None:
            book = define(apps, "Book", table="books", schema=schema, people=models.ManyToManyField("shop.Person"))
            define(apps)
            registry.register(book.people.through, api=READ, app_label="library")

        return declare

    edit(links("private"), links("other"))
    edit(links("other"), links("public"))
    edit(links("public"), links("private"))


def test_an_inherited_api_is_that_of_the_abstract_base(edit: Edit, site: Site) -> None:
    def declare(apps: Apps) -> None:
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "abstract": True})
        pgcraft = type("PGCraft", (), {"schema": "other", "api": API(grants={"webuser": "all"})})
        base = type("Base", (PGCraftSimple,), {"__module__": __name__, "Meta": meta, "PGCraft": pgcraft})
        options = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "children"})
        type("Child", (base,), {"__module__": __name__, "Meta": options, "title": models.TextField(null=True)})

    edit(person(), declare)
    assert as_role(site, "webuser", "SELECT title FROM api.children") == []


def test_a_proxy_has_nothing_of_its_own(edit: Edit) -> None:
    def declare(apps: Apps) -> None:
        base = define(apps, title=models.TextField(null=True))
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "proxy": True})
        type("Proxy", (base,), {"__module__": __name__, "Meta": meta})

    assert shape(edit(person(), declare)) == ["CreateModel"]


def test_models_ordered_with_respect_to_another(edit: Edit) -> None:
    def ordered(**meta: str) -> Declare:
        def declare(apps: Apps) -> None:
            define(apps, "Book", table="books")
            define(apps, book=models.ForeignKey("shop.Book", on_delete=models.CASCADE), meta=meta)

        return declare

    edit(ordered(), ordered(order_with_respect_to="book"))


def test_two_runs_write_the_same_files(world: World) -> None:
    def declare(apps: Apps) -> None:
        define(apps, "Book", table="books", people=models.ManyToManyField("shop.Person"))
        define(apps, api=[API(grants={"webuser": "all", "anon": ["select"]}), API("humans", grants={"anon": "all"})])

    world.evolve(declare)
    again = World()
    again.evolve(declare)
    assert world.sources == again.sources


@pytest.mark.parametrize("kind", [Create, Drop, Replace])
def test_an_empty_operation_can_be_described(kind: type[Operation]) -> None:
    operation = kind([], []) if kind is Replace else kind([])
    assert operation.describe()
    assert operation.migration_name_fragment


@pytest.mark.parametrize("reader", [AlterField, AlterFieldType])
def test_an_alteration_that_sets_a_default_aside_is_not_optimized_away(reader: type[AlterField]) -> None:
    first = AlterFieldType("person", "title", models.IntegerField(db_default=7))
    second = reader("person", "title", models.IntegerField(db_default=7, help_text="Seven"))
    (reduced,) = MigrationOptimizer().optimize([first, second], "shop")
    assert type(reduced) is AlterFieldType
    assert reduced.field is second.field


class Roles(models.TextChoices):
    """Names may be members of an enumeration."""

    WEB = "webuser"


def test_names_that_are_members_of_an_enumeration_are_written_as_text(edit: Edit, world: World) -> None:
    edit(person(api=None), person(api=API(name=Roles.WEB, schema=Roles.WEB, grants={Roles.WEB: "all"})))
    assert "Roles" not in "".join(world.sources.values())


# -- what others do in the database, and in other apps -------------------------------------------------------------


@pytest.mark.parametrize("where", ["", "IN SCHEMA api"])
@pytest.mark.parametrize("grantee", ["anon", "PUBLIC"])
def test_what_default_privileges_give_away_is_taken_back(world: World, site: Site, where: str, grantee: str) -> None:
    def declare(apps: Apps) -> None:
        book = define(apps, "Book", table="books")
        person = define(apps, "Person", books=models.ManyToManyField(book), api=API(grants={"webuser": ["select"]}))
        registry.register(person._meta.get_field("books").remote_field.through, api=READ, app_label="shop")

    with new_site() as plain:
        plain.migrate(world.evolve(declare))
        expected = plain.catalog()
    for kind in ("TABLES", "FUNCTIONS"):
        if where:
            site.query("CREATE SCHEMA IF NOT EXISTS api")
        site.query(f"ALTER DEFAULT PRIVILEGES {where} GRANT ALL ON {kind} TO {grantee}")
    site.migrate(world.order)
    for kind in ("relation privileges", "column privileges", "function privileges"):
        assert {row for row in site.catalog()[kind] if row[0] == "api"} == {
            row for row in expected[kind] if row[0] == "api"
        }


@pytest.mark.parametrize(("one", "other"), [("shop", "library"), ("library", "shop")])
def test_two_apps_that_refer_to_each_other_leave_a_shared_schema_one_by_one(edit: Edit, one: str, other: str) -> None:
    def cascade(to: str) -> models.Field:
        return models.ForeignKey(to, models.CASCADE, null=True)

    def before(apps: Apps) -> None:
        define(apps, "First", label=one, table="first", second=cascade(f"{other}.Second"), api=READ)
        define(apps, "Second", label=other, table="second", first=cascade(f"{one}.First"), api=READ)

    def after(apps: Apps) -> None:
        key = models.CharField(max_length=9, primary_key=True)
        define(apps, "First", label=one, table="moved", schema="other", id=key, api=None)
        define(apps, "Second", label=other, table="renamed", first=cascade(f"{one}.First"), api=READ)

    def back(apps: Apps) -> None:
        define(apps, "First", label=one, table="first", second=cascade(f"{other}.Second"), api=READ)
        press = API(schema="press", grants={"webuser": "all"})
        define(apps, "Second", label=other, table="second", schema="other", first=cascade(f"{one}.First"), api=press)

    edit(before, after, RENAMED)
    edit(after, back, RENAMED)


@pytest.mark.parametrize("api", [READ, None])
def test_a_model_moves_to_another_app_with_its_table(edit: Edit, site: Site, api: API | None) -> None:
    edit(person(label="library", api=api), person(label="shop", api=api))
    assert site.query("SELECT title FROM private.people") == []


def test_a_model_moves_to_an_earlier_app_with_its_table_and_its_view(edit: Edit, site: Site) -> None:
    edit(person(label="shop"), person(label="library"))
    assert as_role(site, "anon", "SELECT title FROM api.people") == []


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_a_text_that_postgresql_cannot_hold_ends_in_a_message(world: World, site: Site, text: str) -> None:
    migrations = world.evolve(person(age=models.IntegerField(null=True, help_text=text)))
    with pytest.raises(MigrationError, match="PostgreSQL cannot hold the text"):
        site.migrate(migrations)
