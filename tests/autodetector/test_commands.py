"""`makemigrations`, `migrate` and their relatives, as a user runs them."""

import shutil
from pathlib import Path

import pytest

from tests import settings
from tests.support.databases import administrator
from tests.support.manage import MODELS, ManagedProject

NAME = "    name = models.TextField()\n"
MORE = MODELS.replace(NAME, NAME + "    age = models.IntegerField(null=True)\n")
TYPED = MORE.replace("models.TextField()", "models.CharField(max_length=20)")
TRIGGER = """
        triggers = [pgtrigger.Protect(name="keep", operation=pgtrigger.Delete)]
"""
KEYED = """
from django.db import models
from pgcraft_django.models import PGCraftSimple

class Mark(PGCraftSimple):
    pk = models.CompositePrimaryKey("student", "course")
    student = models.IntegerField()
    course = models.IntegerField()

    class Meta:
        db_table = "marks"
"""
RENAMED_KEY = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [
        migrations.RenameField("mark", "student", "pupil"),
        migrations.AlterField("mark", "pk", models.CompositePrimaryKey(
            "pupil", "course", blank=True, editable=False, primary_key=True, serialize=False
        )),
    ]
"""
TRANSLATED = """
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftLedger
from pgcraft_django.plugins import Balance

class Contract(PGCraftAppendOnly):
    class Meta:
        verbose_name = _("Yes")

class Edition(PGCraftEAV):
    class Meta:
        verbose_name = _("Yes")

    class PGCraft:
        extra = True

class Stock(PGCraftLedger):
    sku = models.TextField()

    class Meta:
        verbose_name = _("Yes")

    class PGCraft:
        idempotency = True
        plugins = [Balance(["sku"], name="by_sku")]
"""
ROUTER = """
class Router:
    def allow_migrate(self, db, app_label, **hints):
        return db == "default"
"""


def rows(project: ManagedProject, sql: str) -> list[tuple[object, ...]]:
    with administrator(project.database) as connection:
        return connection.execute(sql).fetchall()


def test_makemigrations_needs_no_database(project: ManagedProject) -> None:
    project.settings(DATABASES={"default": {"ENGINE": "django.db.backends.dummy"}})
    project.manage("makemigrations", "--skip-checks")
    assert list(project.migrations()) == ["0001_initial"]


def test_after_makemigrations_nothing_is_left_to_find(project: ManagedProject) -> None:
    project.manage("makemigrations")
    project.manage("migrate")
    assert "No changes" in project.manage("makemigrations", "--check")
    project.models(TYPED)
    project.manage("makemigrations", "--check", status=1)
    project.manage("makemigrations")
    assert "No migrations to apply" not in project.manage("migrate")
    assert "No changes" in project.manage("makemigrations", "--check")


def test_sqlmigrate_prints_statements_that_do_the_same(project: ManagedProject) -> None:
    project.manage("makemigrations")
    forwards, backwards = (project.manage("sqlmigrate", "shop", "0001", *flag) for flag in ([], ["--backwards"]))
    with administrator(project.database) as connection:
        connection.execute(forwards)
        connection.execute("INSERT INTO private.people (name) VALUES ('Alice')")
        assert connection.execute("SELECT name FROM api.people").fetchall() == [("Alice",)]
        connection.execute(f"SET search_path = public, private; {backwards}")
        assert connection.execute("SELECT to_regnamespace('api'), to_regclass('people')").fetchall() == [(None, None)]


def branches(project: ManagedProject, first: str, last: str) -> None:
    """Make the migrations of two branches, and merge them; Django runs them in the opposite order of their names."""
    written = {}
    for name, source in (("b", first), ("a", last)):
        project.models(source)
        project.manage("makemigrations", "--name", name)
        path = project.folder / "shop" / "migrations" / f"0002_{name}.py"
        written[path] = path.read_text()
        path.unlink()
    for path, text in written.items():
        path.write_text(text)
    project.manage("makemigrations", "--merge", "--no-input")


def test_two_branches_that_changed_one_model_are_merged_and_brought_in_line(project: ManagedProject) -> None:
    closed = MODELS.replace('API(grants={"anon": ["select"]})', 'API(exclude=["name"], grants={"anon": ["select"]})')
    project.manage("makemigrations")
    branches(project, closed, MORE)
    project.models(
        MORE.replace('API(grants={"anon": ["select"]})', 'API(exclude=["name"], grants={"anon": ["select"]})')
    )
    project.manage("makemigrations", "--check", status=1)
    project.manage("makemigrations")
    project.manage("migrate")
    assert "No changes" in project.manage("makemigrations", "--check")
    privileges = "SELECT has_column_privilege('anon', 'private.people', column_name::text, 'SELECT')"
    columns = "information_schema.columns WHERE (table_schema, table_name) = ('api', 'people')"
    assert rows(project, f"SELECT column_name::text FROM {columns} ORDER BY 1") == [("age",), ("id",)]
    assert rows(project, f"{privileges} FROM (VALUES ('age'), ('id'), ('name')) AS listed (column_name)") == [
        (True,),
        (True,),
        (False,),
    ]


def test_a_branch_that_reads_what_another_has_removed_is_told_what_to_do(project: ManagedProject) -> None:
    project.models(MORE)
    project.manage("makemigrations")
    branches(project, MODELS, MORE.replace(NAME, f"{NAME}    size = models.IntegerField(null=True)\n"))
    printed = project.manage("migrate", status=1)
    assert 'column "age" of relation "people" does not exist. If two branches have changed one model' in printed
    assert "Traceback" not in printed


def test_a_squashed_history_makes_the_same_database(project: ManagedProject) -> None:
    for source in (MODELS, MORE, TYPED):
        project.models(source)
        project.manage("makemigrations")
    project.manage("squashmigrations", "shop", "0001", "0003", "--no-input")
    for path in (project.folder / "shop" / "migrations").glob("000[23]*.py"):
        path.unlink()
    (project.folder / "shop" / "migrations" / "0001_initial.py").unlink()
    assert project.manage("migrate").count("OK") == 1
    assert "No changes" in project.manage("makemigrations", "--check")
    assert rows(project, "SELECT has_column_privilege('anon', 'private.people', 'age', 'SELECT')") == [(True,)]


def test_drift_is_told_where_a_part_of_a_composite_key_was_renamed(project: ManagedProject) -> None:
    """Django changes such a key in the migrations themselves, so their state can be worked out only once."""
    project.models(KEYED)
    project.manage("makemigrations")
    project.models(KEYED.replace("student", "pupil"))
    (project.folder / "shop" / "migrations" / "0002_renamed.py").write_text(RENAMED_KEY)
    project.manage("makemigrations")
    project.manage("migrate")
    printed, _ = project.start("pgcraft_drift").communicate()
    assert "marks" not in printed  # it may find something in the roles, which all databases share
    assert "Traceback" not in printed


def test_a_faked_migration_touches_nothing(project: ManagedProject) -> None:
    project.manage("makemigrations")
    project.manage("migrate", "shop", "--fake")
    assert rows(project, "SELECT to_regnamespace('api'), to_regclass('private.people')") == [(None, None)]
    project.manage("migrate", "shop", "zero", "--fake")
    project.manage("migrate")


def test_a_table_is_found_in_a_schema_that_it_left_long_ago(project: ManagedProject) -> None:
    """A later migration changes the table while it is in a schema that no model is in any more."""
    for source in (
        MODELS.replace("    class PGCraft:", "    class PGCraft:\n        schema = 'old'"),
        MORE.replace("    class PGCraft:", "    class PGCraft:\n        schema = 'old'"),
        MORE,
    ):
        project.models(source)
        project.manage("makemigrations")
    project.manage("migrate", "shop", "0001")
    project.manage("migrate", "shop", "0002")
    project.manage("migrate")
    project.manage("migrate", "shop", "zero")


SHOW = "from django.db import connection as c; k = c.cursor(); k.execute('SHOW {}'); print(k.fetchone())"


@pytest.mark.parametrize("options", [{}, {"options": ""}])
def test_the_environment_still_has_a_say_in_connections(project: ManagedProject, options: dict[str, object]) -> None:
    project.settings(DATABASES={"default": {**settings.database(project.database), "OPTIONS": options}})
    for name, value in (("search_path", 'public, "private"'), ("statement_timeout", "7s")):
        said = project.manage("shell", "-v0", "-c", SHOW.format(name), PGOPTIONS="-c statement_timeout=7s")
        assert value in said


def test_a_pooler_that_takes_no_options_gets_none(project: ManagedProject) -> None:
    """PgBouncer ends a connection that asks for any; the database then says where the tables are."""
    none = {"OPTIONS": {"options": None}}
    project.settings(DATABASES={"default": {**settings.database(project.database), **none}})
    assert "E054" in project.manage("check", "--database", "default", status=1)
    with administrator(project.database) as connection:
        connection.execute(f'ALTER DATABASE "{project.database}" SET search_path = public, private')
    project.manage("makemigrations")
    project.manage("migrate")
    assert "public, private" in project.manage("shell", "-v0", "-c", SHOW.format("search_path"))


def test_routers_decide_where_objects_are_made(project: ManagedProject) -> None:
    (project.folder / "routers.py").write_text(ROUTER)
    second = settings.database(project.database)
    project.settings(
        DATABASES={"default": settings.database(project.database), "other": second},
        DATABASE_ROUTERS=["routers.Router"],
    )
    project.manage("makemigrations")
    project.manage("migrate", "--database", "other")
    assert rows(project, "SELECT to_regnamespace('api')") == [(None,)]
    project.manage("migrate", "shop", "zero", "--database", "other")
    project.manage("migrate")
    assert rows(project, "SELECT to_regnamespace('api') IS NOT NULL") == [(True,)]


def test_a_router_that_parts_an_app_is_told_to_let_it_be_one(project: ManagedProject) -> None:
    (project.folder / "routers.py").write_text(ROUTER.replace('db == "default"', 'hints.get("model_name") != "person"'))
    project.manage("makemigrations")
    project.settings(DATABASE_ROUTERS=["routers.Router"])
    said = project.manage("migrate", "--skip-checks", status=1)
    assert 'relation "public.people" does not exist. If a router lets in only some models of the app' in said


def test_a_database_of_another_vendor_is_left_alone(project: ManagedProject) -> None:
    other = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(project.folder / "other.sqlite3")}
    project.settings(DATABASES={"default": settings.database(project.database), "other": other})
    project.manage("makemigrations")
    project.manage("migrate", "--database", "other")
    project.manage("migrate", "shop", "zero", "--database", "other")


@pytest.mark.parametrize("order", [["pgtrigger", "pgcraft_django"], ["pgcraft_django", "pgtrigger"]])
def test_django_pgtrigger_works_beside_it_in_both_orders(project: ManagedProject, order: list[str]) -> None:
    project.settings(INSTALLED_APPS=[*order, "shop"])
    triggered = "import pgtrigger\n" + MORE.replace('"people"\n', f'"people"\n{TRIGGER}')
    project.models(triggered)
    project.manage("makemigrations")
    project.models(triggered.replace("models.IntegerField", "models.TextField"))
    project.manage("makemigrations")
    project.manage("migrate")
    assert "No changes" in project.manage("makemigrations", "--check")
    assert rows(project, "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'private.people'::regclass") == [(1,)]
    assert rows(project, "SELECT to_regclass('api.people') IS NOT NULL") == [(True,)]
    project.manage("migrate", "shop", "zero")


def test_translations_are_not_baked_into_migrations(project: ManagedProject) -> None:
    project.settings(LANGUAGE_CODE="de", USE_I18N=True)
    lazy = "from django.utils.translation import gettext_lazy as _\n"
    project.models(lazy + MODELS.replace("models.TextField()", "models.TextField(help_text=_('Yes'))") + TRANSLATED)
    project.manage("makemigrations")
    migration = project.migrations()["0001_initial"]
    assert "'name': 'Yes'" in migration
    for name in ("version of Yes", "changes of Yess", "definitions for Yess", "keys of Yess", "balance of Yes: by sku"):
        assert f"'{name}'" in migration
    assert "Ja" not in migration
    project.settings(LANGUAGE_CODE="fr", USE_I18N=True)
    assert "No changes" in project.manage("makemigrations", "--check")


def test_a_swapped_user_model_is_exposed_like_any_other(project: ManagedProject) -> None:
    apps = ["django.contrib.contenttypes", "django.contrib.auth", "pgcraft_django", "shop"]
    project.settings(INSTALLED_APPS=apps, AUTH_USER_MODEL="shop.Account")
    project.models(
        "from django.contrib.auth.models import AbstractUser\n"
        + MODELS
        + """
class Account(AbstractUser, PGCraftSimple):
    class Meta:
        db_table = "accounts"

    class PGCraft:
        api = API(columns=["id", "username", "is_active"], grants={"anon": ["select"]})

class Note(PGCraftSimple):
    author = models.ForeignKey("shop.Account", on_delete=models.CASCADE)
"""
    )
    project.manage("makemigrations")
    project.manage("migrate")
    assert "No changes" in project.manage("makemigrations", "--check")
    assert rows(project, "SELECT has_column_privilege('anon', 'private.accounts', 'password', 'SELECT')") == [(False,)]


def test_a_missing_role_is_named_with_the_command_that_makes_it(project: ManagedProject) -> None:
    with administrator() as connection:
        connection.execute("DROP ROLE IF EXISTS pgcraft_plain")
        connection.execute("CREATE ROLE pgcraft_plain LOGIN PASSWORD 'plain'")
        connection.execute(f'ALTER DATABASE "{project.database}" OWNER TO pgcraft_plain')
    login = {**settings.database(project.database), "USER": "pgcraft_plain", "PASSWORD": "plain"}
    project.settings(DATABASES={"default": login}, PGCRAFT={"ROLES": ["anon", "nobody_made_me"]})
    project.models(MODELS.replace('"anon"', '"nobody_made_me"'))
    project.manage("makemigrations")
    printed = project.manage("migrate", status=1)
    assert 'The role "nobody_made_me" does not exist' in printed
    assert "manage.py pgcraft_roles" in printed
    assert "Traceback" not in printed
    assert rows(project, "SELECT to_regnamespace('api'), to_regclass('people')") == [(None, None)]


def test_migrations_are_formatted_to_be_read(project: ManagedProject, tmp_path: Path) -> None:
    project.manage("makemigrations", "--no-header")
    text = project.migrations()["0001_initial"]
    assert max(len(line) for line in text.splitlines()) < 140
    assert '\'FROM "private"."people"\'' in text
    shutil.rmtree(project.folder / "shop" / "migrations")
    (project.folder / "shop" / "migrations").mkdir()
    (project.folder / "shop" / "migrations" / "__init__.py").touch()
    project.manage("makemigrations", "--no-header")
    assert project.migrations()["0001_initial"] == text
