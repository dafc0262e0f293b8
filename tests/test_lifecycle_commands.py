"""The commands around a database's life, run as a person does: `manage.py` of a project of its own."""

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import psycopg
import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.db import DataError, connections

from pgcraft_django.errors import ServerError
from pgcraft_django.lifecycle.database import replace_database, to_replace
from pgcraft_django.lifecycle.samples import load_sample
from pgcraft_django.management.base import DatabaseCommand
from pgcraft_django.naming import quote_name
from pgcraft_django.postgrest.binary import find_binary
from tests.settings import SERVER
from tests.support.databases import ADMINISTRATOR, administrator, run_sql, temporary_database
from tests.support.manage_py import run_manage_py

numbers = itertools.count()

CANARY = "canary-of-a-password"

SETTINGS = """
import os
from pathlib import Path

BASE_DIR = Path(__file__).parent
DEBUG = os.environ.get("DEBUG") != "0"
SECRET_KEY = "only for tests"
INSTALLED_APPS = {apps}
DATABASES = {databases}
PGCRAFT = {pgcraft}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""

MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "conf"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

MODELS = """
from django.db import models

class Item(models.Model):
    name = models.TextField()
"""

INITIAL = """
from django.db import migrations, models

class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField())])
    ]
"""

RUN_SQL = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [({label!r}, {after!r})]
    operations = [migrations.RunSQL({forwards!r}, {backwards!r})]
"""


class Project:
    """A Django project in a folder, with a database name and role names that no other test uses.

    Its apps: `shop` and `library` are its own; `bought` is in an environment inside its folder, `lent` beside it.
    """

    def __init__(self, folder: Path) -> None:
        tag = f"{os.getpid()}_{next(numbers)}"
        self.folder = folder / "project"
        self.places = {
            "shop": self.folder,
            "library": self.folder,
            "bought": self.folder / ".venv" / "lib" / "site-packages",
            "lent": folder / "elsewhere",
        }
        self.packages = ["pgcraft_django"]
        self.database = f"pgcraft life {tag}"
        self.roles = [f"auth_{tag}", f"anon_{tag}", f"web_{tag}"]
        self.entry: dict[str, Any] = {**connections.settings["default"], **ADMINISTRATOR, "NAME": self.database}
        for label, place in self.places.items():
            (place / label / "migrations").mkdir(parents=True)
            self.write(label, "__init__.py", "")
            self.write(label, "models.py", MODELS)
            self.write(label, "migrations/__init__.py", "")
            self.write(label, "migrations/0001_initial.py", INITIAL)
        (self.folder / "manage.py").write_text(MANAGE)

    def write(self, label: str, name: str, text: str) -> Path:
        path = self.places[label] / label / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text))
        return path

    def add_migration(
        self, label: str, name: str, *, after: str = "0001_initial", backwards: str | None = "SELECT 1"
    ) -> Path:
        text = RUN_SQL.format(label=label, after=after, forwards="SELECT 1", backwards=backwards)
        return self.write(label, f"migrations/{name}.py", text)

    def run(self, *arguments: str, answer: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        auth, anon, web = self.roles
        pgcraft = {"AUTHENTICATOR_ROLE": auth, "ANON_ROLE": anon, "ROLES": [anon, web], "DEFAULT_GRANTS": {}}
        known = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")
        entry = {key: self.entry[key] for key in known if key in self.entry}
        apps = [*self.packages, *self.places]
        (self.folder / "conf.py").write_text(SETTINGS.format(apps=apps, databases={"default": entry}, pgcraft=pgcraft))
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("DJANGO", "PGRST", "DEBUG"))
        }
        places = os.pathsep.join(map(str, dict.fromkeys(self.places.values())))
        environment = {**inherited, "PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1", **environment}
        return run_manage_py(self.folder, arguments, environment, answer=answer or "")

    def succeed(self, *arguments: str, **options: str) -> str:
        done = self.run(*arguments, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fail(self, *arguments: str, **options: str) -> str:
        """Run what must end in one message and no traceback; return the message."""
        done = self.run(*arguments, **options)
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stderr.startswith("CommandError: "), done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with administrator(self.database) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def applied(self) -> list[str]:
        labels = ", ".join(f"'{label}'" for label in self.places)
        rows = self.query(f"SELECT app || '.' || name FROM django_migrations WHERE app IN ({labels}) ORDER BY id")
        return [name for (name,) in rows]

    def existing_roles(self) -> set[str]:
        with administrator() as connection:
            rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [self.roles])
            return {name for (name,) in rows}

    def exists(self) -> bool:
        with administrator() as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [self.database])
            return found.fetchone() is not None

    def databases_like_it(self) -> set[str]:
        with administrator() as connection:
            rows = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [self.database])
            return {name for (name,) in rows}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    run_sql(f"DROP DATABASE IF EXISTS {quote_name(project.database)} WITH (FORCE)")
    for role in project.roles:
        run_sql(f"DROP ROLE IF EXISTS {quote_name(role)}")


@pytest.fixture
def started(project: Project) -> Project:
    """A project whose database is there, with all migrations applied."""
    project.succeed("pgcraft_init", "--verbosity", "0")
    return project


@pytest.fixture
def other_database(project: Project) -> Iterator[str]:
    """A database of somebody else in the same cluster."""
    name = f"other {project.database}"
    run_sql(f"CREATE DATABASE {quote_name(name)}")
    yield name
    run_sql(f"DROP DATABASE {quote_name(name)} WITH (FORCE)")


@pytest.fixture
def user(project: Project) -> Iterator[str]:
    """A database user with no privilege of the cluster, as which the project connects."""
    name = f"user of {project.database}"
    run_sql(f"CREATE ROLE {quote_name(name)} LOGIN PASSWORD 'its password'")
    project.entry.update(USER=name, PASSWORD="its password")
    yield name
    run_sql(f"DROP DATABASE IF EXISTS {quote_name(project.database)} WITH (FORCE)")
    for role in project.roles:
        run_sql(f"DROP ROLE IF EXISTS {quote_name(role)}")
    run_sql(f"DROP ROLE {quote_name(name)}")


# -- pgcraft_init ----------------------------------------------------------------------------------------------


def test_init_goes_from_nothing_to_a_migrated_database_and_says_so(project: Project) -> None:
    said = project.succeed("pgcraft_init")
    assert f'Created the database "{project.database}".' in said
    assert f"Created the role {project.roles[0]}." in said
    assert "Applying shop.0001_initial... OK" in said
    assert project.existing_roles() == set(project.roles)
    assert len(project.applied()) == 4


def test_init_creates_the_database_beside_django_contrib_postgres(project: Project) -> None:
    """That app asks each new connection for its types, by the alias: it must not ask the database that is missing."""
    project.packages.append("django.contrib.postgres")
    assert f'Created the database "{project.database}".' in project.succeed("pgcraft_init")
    project.succeed("pgcraft_wipe_db", "--no-input")
    assert project.exists()


def test_a_generated_field_asks_no_database_before_there_is_one(project: Project) -> None:
    """From Django 6.0 on, its check asks the server for its version."""
    field = "models.GeneratedField(expression=models.F('name'), output_field=models.TextField(), db_persist=True)"
    project.write("shop", "models.py", f"{MODELS}    same = {field}\n")
    assert "CREATE ROLE" in project.succeed("pgcraft_roles", "--sql")
    assert not project.exists()
    assert f'Created the database "{project.database}".' in project.succeed("pgcraft_init")


def test_init_again_keeps_what_is_there(started: Project) -> None:
    started.query("INSERT INTO shop_item (name) VALUES ('mine')")
    said = started.succeed("pgcraft_init")
    assert "is there" in said
    assert "No migrations to apply" in said
    assert started.query("SELECT name FROM shop_item") == [("mine",)]


def test_sample_rows_are_loaded_once_and_never_over_rows(project: Project) -> None:
    rows = [{"model": "shop.item", "pk": pk, "fields": {"name": f"sample {pk}"}} for pk in (1, 2)]
    project.write("shop", "fixtures/sample.json", json.dumps(rows))
    assert "Loaded 2 sample rows." in project.succeed("pgcraft_init", "--sample")
    project.query("UPDATE shop_item SET name = 'mine' WHERE id = 1")
    assert "there are rows already (shop.Item)" in project.succeed("pgcraft_init", "--sample")
    assert project.query("SELECT name FROM shop_item ORDER BY id") == [("mine",), ("sample 2",)]
    project.query("INSERT INTO shop_item (name) VALUES ('next')")


class Elsewhere:
    """A router that lets no table of `tickets` in."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return app_label != "tickets"


def test_sample_rows_for_another_database_are_passed_by(tmp_path: Path, unblocked: None, settings: Any) -> None:
    settings.DATABASE_ROUTERS = [Elsewhere()]
    rows = [
        {"model": "tickets.desk", "pk": 1, "fields": {"name": "by the window"}},
        {"model": "sessions.session", "pk": "1", "fields": {"session_data": "", "expire_date": "2030-01-01T00:00:00Z"}},
    ]
    fixture = tmp_path / "sample.json"
    with temporary_database() as alias:
        call_command("migrate", "sessions", database=alias, verbosity=0)
        for some, said in ((rows, "Loaded 1 sample rows."), (rows[:1], "they are for another database.")):
            fixture.write_text(json.dumps(some))
            assert load_sample(fixture, connections[alias]).endswith(said)


def test_sample_rows_are_utf8_whatever_the_locale(started: Project) -> None:
    text = json.dumps([{"model": "shop.item", "pk": 1, "fields": {"name": "Zoë"}}], ensure_ascii=False)
    started.write("shop", "fixtures/sample.json", "").write_bytes(text.encode())
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    started.succeed("pgcraft_init", "--sample", **ascii_only)
    assert started.query("SELECT name FROM shop_item") == [("Zoë",)]


def test_rows_that_a_manager_hides_count_as_rows(started: Project) -> None:
    hiding = """
    class Hiding(models.Manager):
        def get_queryset(self):
            return super().get_queryset().none()

    objects = Hiding()
"""
    started.write("shop", "models.py", MODELS + hiding)
    started.write("shop", "fixtures/sample.json", '[{"model": "shop.item", "pk": 1, "fields": {"name": "sample"}}]')
    started.query("INSERT INTO shop_item (name) VALUES ('mine')")
    assert "there are rows already (shop.Item)" in started.succeed("pgcraft_init", "--sample")
    assert started.query("SELECT name FROM shop_item") == [("mine",)]


def test_without_the_option_no_sample_rows_are_loaded(project: Project) -> None:
    rows = [{"model": "shop.item", "pk": 1, "fields": {"name": "sample"}}]
    project.write("shop", "fixtures/sample.json", json.dumps(rows))
    project.succeed("pgcraft_init")
    assert project.query("SELECT FROM shop_item") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "is not a fixture"),
        ('[{"model": "shop.gone", "fields": {}}]', "is not a fixture"),
        ('[{"pk": 1}]', "is not a fixture"),
        ('[{"model": "shop.item", "pk": 1, "fields": {"name": null}}]', "cannot be loaded"),
        ('[{"model": "shop.item", "pk": 1, "fields": {"colour": "red"}}]', "cannot be loaded"),
    ],
)
def test_a_bad_fixture_ends_in_a_message_and_loads_nothing(started: Project, content: str, message: str) -> None:
    started.write("shop", "fixtures/sample.json", content)
    assert message in started.fail("pgcraft_init", "--sample")
    assert started.query("SELECT FROM shop_item") == []


def test_a_missing_migration_ends_in_a_message_that_says_what_to_run(started: Project) -> None:
    started.write("shop", "models.py", MODELS + "    price = models.IntegerField(default=0)\n")
    started.write("shop", "fixtures/sample.json", '[{"model": "shop.item", "pk": 1, "fields": {"name": "x"}}]')
    assert "manage.py makemigrations" in started.fail("pgcraft_init", "--sample")


def test_without_createdb_the_message_says_what_a_dba_runs(project: Project, user: str) -> None:
    message = project.fail("pgcraft_init")
    assert f"CREATE DATABASE {quote_name(project.database)} OWNER {quote_name(user)};" in message
    assert not project.exists()


def test_an_owner_without_createrole_is_sent_to_the_dba_before_anything_is_migrated(
    project: Project, user: str
) -> None:
    run_sql(f"CREATE DATABASE {quote_name(project.database)} OWNER {quote_name(user)}")
    assert "pgcraft_roles --sql" in project.fail("pgcraft_init")
    assert project.query("SELECT to_regclass('django_migrations')") == [(None,)]
    script = project.succeed("pgcraft_roles", "--sql")
    with administrator() as dba:
        dba.execute(script)
    project.succeed("pgcraft_init")
    assert len(project.applied()) == 4


def test_an_unreachable_server_and_a_wrong_password_end_in_a_message_without_the_password(
    project: Project, user: str
) -> None:
    project.entry["PASSWORD"] = "Canary-31f"
    for command in ("pgcraft_init", "pgcraft_roles", "pgcraft_rollback", "pgcraft_wipe_db", "pgcraft_reset"):
        message = project.fail(command)
        assert "password authentication failed" in message
        assert "Canary" not in message
    project.entry.update(HOST="127.0.0.1", PORT="1")
    assert "127.0.0.1, port 1" in project.fail("pgcraft_init")


@pytest.mark.parametrize(
    "command", ["pgcraft_init", "pgcraft_roles", "pgcraft_rollback", "pgcraft_wipe_db", "pgcraft_reset"]
)
def test_another_vendor_is_refused(project: Project, command: str) -> None:
    project.entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(project.folder / "db")}
    assert "is not PostgreSQL but 'sqlite'" in project.fail(command)
    assert not (project.folder / "db").exists()


# -- pgcraft_rollback ------------------------------------------------------------------------------------------


def test_rollback_undoes_the_own_migrations_in_the_order_of_their_application(project: Project) -> None:
    project.add_migration("library", "0002_more")
    project.succeed("pgcraft_init")
    project.add_migration("shop", "0002_later")
    project.succeed("migrate")
    project.add_migration("bought", "0002_theirs")
    project.add_migration("lent", "0002_theirs")
    project.succeed("migrate")
    foreign = {"bought.0001_initial", "bought.0002_theirs", "lent.0001_initial", "lent.0002_theirs"}
    own = [name for name in project.applied() if name not in foreign]
    assert own[-1] == "shop.0002_later"
    while own:
        said = project.succeed("pgcraft_rollback", "--no-input")
        assert own.pop() in said
        assert [name for name in project.applied() if name not in foreign] == own
    assert "nothing to undo" in project.fail("pgcraft_rollback", "--no-input")
    assert set(project.applied()) == foreign


def test_rollback_of_a_named_app_undoes_that_app(started: Project) -> None:
    started.succeed("pgcraft_rollback", "shop", "--no-input")
    assert set(started.applied()) == {"library.0001_initial", "bought.0001_initial", "lent.0001_initial"}
    assert "no app 'gone'" in started.fail("pgcraft_rollback", "gone", "--no-input")


def test_rollback_asks_and_does_nothing_without_a_yes(started: Project) -> None:
    before = started.applied()
    for answer in ("no\n", "\n", ""):
        assert "Nothing was done" in started.fail("pgcraft_rollback", answer=answer)
        assert started.applied() == before
    assert "shop.0001_initial" in started.succeed("pgcraft_rollback", "shop", answer="yes\n")
    assert len(started.applied()) == len(before) - 1


def test_rollback_refuses_what_has_no_way_back(started: Project) -> None:
    started.add_migration("shop", "0002_one_way", backwards=None)
    started.succeed("migrate")
    message = started.fail("pgcraft_rollback", "--no-input")
    assert "shop.0002_one_way cannot be undone" in message
    assert started.applied()[-1] == "shop.0002_one_way"


def test_rollback_says_when_the_file_is_missing(started: Project) -> None:
    path = started.add_migration("shop", "0002_lost")
    started.succeed("migrate")
    path.unlink()
    assert "its file is missing" in started.fail("pgcraft_rollback", "--no-input")


def test_rollback_says_that_a_squashed_migration_has_taken_the_place(started: Project) -> None:
    second = started.add_migration("shop", "0002_more")
    started.succeed("migrate")
    started.succeed("squashmigrations", "shop", "0002", "--squashed-name", "all", "--no-input")
    squashed = started.places["shop"] / "shop" / "migrations" / "0001_all.py"
    message = started.fail("pgcraft_rollback", "shop", "--no-input")
    assert "shop.0002_more is applied, and shop.0001_all replaces it" in message
    assert "Run manage.py migrate shop;" in message
    assert "take the file of shop.0001_all away" in message
    content = squashed.read_text()
    squashed.unlink()
    started.succeed("pgcraft_rollback", "shop", "--no-input")
    assert "shop.0001_initial" in started.applied()
    assert "shop.0002_more" not in started.applied()
    started.succeed("migrate")
    squashed.write_text(content)
    second.unlink()
    assert "take the file" not in started.fail("pgcraft_rollback", "shop", "--no-input")
    started.succeed("migrate", "shop")
    started.succeed("pgcraft_rollback", "shop", "--no-input")
    assert not any(name.startswith("shop.") for name in started.applied())


def test_rollback_says_when_the_files_do_not_fit_together(started: Project) -> None:
    started.add_migration("shop", "0003_orphan", after="0002_gone")
    assert "cannot be read together" in started.fail("pgcraft_rollback", "--no-input")


def test_rollback_of_an_empty_database_says_so(project: Project) -> None:
    run_sql(f"CREATE DATABASE {quote_name(project.database)}")
    assert "nothing to undo" in project.fail("pgcraft_rollback")


# -- pgcraft_wipe_migrations -----------------------------------------------------------------------------------


def test_only_the_numbered_files_of_the_own_apps_are_deleted(project: Project) -> None:
    gone = {
        project.places["shop"] / "shop" / "migrations" / "0001_initial.py",
        project.places["library"] / "library" / "migrations" / "0001_initial.py",
        project.add_migration("shop", "0002_more"),
    }
    project.write("shop", "migrations/helpers.py", "")
    project.write("shop", "migrations/0003_notes.txt", "")
    every = {path for path in project.folder.parent.rglob("*") if path.is_file()}
    said = project.succeed("pgcraft_wipe_migrations", answer="yes\n")
    left = {path for path in project.folder.parent.rglob("*") if path.is_file()}
    assert every - left == gone
    for path in gone:
        assert str(path.relative_to(project.folder)) in said
    assert "No app of the project" in project.succeed("pgcraft_wipe_migrations")


def test_without_base_dir_the_current_folder_is_the_projects(project: Project) -> None:
    project.run("check")
    conf = project.folder / "conf.py"
    text = conf.read_text().replace("BASE_DIR", "SOMETHING")
    (project.folder / "plain.py").write_text(text)
    (project.folder / "manage.py").write_text(MANAGE.replace('"conf"', '"plain"'))
    project.succeed("pgcraft_wipe_migrations", "--no-input")
    assert not (project.folder / "shop" / "migrations" / "0001_initial.py").exists()
    assert (project.places["lent"] / "lent" / "migrations" / "0001_initial.py").exists()


# -- pgcraft_wipe_db and pgcraft_reset -------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["pgcraft_wipe_db", "pgcraft_wipe_migrations", "pgcraft_reset"])
def test_wiping_refuses_outside_debug_and_without_a_yes(started: Project, command: str) -> None:
    assert "DEBUG is off" in started.fail(command, "--no-input", DEBUG="0")
    for answer in ("no\n", "y\n", ""):
        assert "Nothing was done" in started.fail(command, answer=answer)
    assert len(started.applied()) == 4
    assert (started.folder / "shop" / "migrations" / "0001_initial.py").exists()
    assert started.existing_roles() == set(started.roles)


def test_wipe_db_leaves_an_empty_database_and_no_role(started: Project) -> None:
    started.query("INSERT INTO shop_item (name) VALUES ('mine')")
    with administrator(started.database) as somebody:
        said = started.succeed("pgcraft_wipe_db", answer="yes\n")
        with pytest.raises(psycopg.OperationalError):
            somebody.execute("SELECT 1")
    assert "1 sessions in it" in said
    assert "public.shop_item: about 1" in said
    assert started.query("SELECT to_regclass('shop_item')") == [(None,)]
    assert started.existing_roles() == set()
    assert started.databases_like_it() == {started.database}
    assert "Loaded" not in started.succeed("pgcraft_init")
    assert len(started.applied()) == 4


def test_what_belongs_to_the_database_itself_is_named_before_it_is_lost(started: Project) -> None:
    assert "With the database go" not in started.run("pgcraft_wipe_db", answer="no\n").stdout
    database = quote_name(started.database)
    # Not every distribution of PostgreSQL comes with the same extensions.
    [(extension,)] = started.query("SELECT min(name) FROM pg_available_extensions WHERE name IN ('hstore', 'vector')")
    started.query(f"CREATE EXTENSION {extension}")
    assert f"With the database go its extensions: {extension}." in started.run("pgcraft_wipe_db", answer="no\n").stdout
    started.query(f"ALTER DATABASE {database} SET statement_timeout = '5s'")
    started.query(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")
    said = started.succeed("pgcraft_reset", answer="yes\n")
    assert f"With the database go its settings (ALTER DATABASE ... SET); privileges; extensions: {extension}." in said


def test_an_error_while_replacing_is_told_as_what_it_is(unblocked: None) -> None:
    with temporary_database(**ADMINISTRATOR) as alias:
        connection = connections[alias]
        with pytest.raises(DataError, match="division by zero"), to_replace(connection) as beside:
            beside.cursor().execute("SELECT 1 / 0")
        with to_replace(connection) as beside:
            with beside.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                run_sql(f"SELECT pg_terminate_backend({cursor.fetchone()[0]}, 5000)")
            with pytest.raises(ServerError, match=r"^Replacing the database .* failed: "):
                replace_database(connection, beside)


def test_wipe_db_keeps_the_owner(started: Project, user: str) -> None:
    run_sql(f"ALTER DATABASE {quote_name(started.database)} OWNER TO {quote_name(user)}")
    started.entry.update(USER="postgres", PASSWORD="")
    started.succeed("pgcraft_wipe_db", "--no-input")
    owner = started.query("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()")
    assert owner == [(user,)]


def test_wipe_db_of_a_missing_database_creates_it(project: Project) -> None:
    project.succeed("pgcraft_wipe_db", "--no-input")
    assert project.exists()


@pytest.mark.parametrize(
    "use",
    [
        'GRANT USAGE ON SCHEMA public TO "{anon}"',
        'CREATE SCHEMA theirs AUTHORIZATION "{anon}"',
        'GRANT CONNECT ON DATABASE "{other}" TO "{anon}"',
        'ALTER ROLE "{anon}" IN DATABASE "{other}" SET statement_timeout = 5',
    ],
)
def test_a_role_that_another_database_uses_is_kept_with_the_way_to_it(
    started: Project, other_database: str, use: str
) -> None:
    auth, anon, _ = started.roles
    with administrator(other_database) as connection:
        connection.execute(use.format(anon=anon, other=other_database))
    said = started.succeed("pgcraft_wipe_db", "--no-input")
    assert f'Kept the role "{anon}": the database "{other_database}" uses it.' in said
    assert f'Kept the role "{auth}"' in said
    assert started.existing_roles() == {auth, anon}
    with administrator() as connection:
        still = connection.execute("SELECT pg_has_role(%s::name, %s::name, 'MEMBER')", [auth, anon])
        assert still.fetchone() == (True,)


def test_a_role_with_a_session_elsewhere_is_kept(started: Project, other_database: str) -> None:
    auth = started.roles[0]
    run_sql(f"ALTER ROLE {quote_name(auth)} PASSWORD 'known'")
    with psycopg.connect(
        host=str(SERVER.socket_dir), port=SERVER.port, user=auth, password="known", dbname=other_database
    ):
        started.succeed("pgcraft_wipe_db", "--no-input")
    assert started.existing_roles() == {auth}


def test_a_role_with_a_stranger_as_member_is_kept(started: Project, user: str) -> None:
    started.entry.update(USER="postgres", PASSWORD="")
    _, anon, _ = started.roles
    run_sql(f"GRANT {quote_name(anon)} TO {quote_name(user)}")
    said = started.succeed("pgcraft_wipe_db", "--no-input")
    assert f'Kept the role "{anon}": the role "{user}" is a member of it.' in said
    run_sql(f"REVOKE {quote_name(anon)} FROM {quote_name(user)}")


def test_an_authenticator_that_another_project_uses_too_is_kept(started: Project, user: str) -> None:
    started.entry.update(USER="postgres", PASSWORD="")
    auth = started.roles[0]
    run_sql(f"GRANT {quote_name(user)} TO {quote_name(auth)}")  # a request role of the other project
    said = started.succeed("pgcraft_wipe_db", "--no-input")
    assert f'Kept the role "{auth}": it is a member of the role "{user}".' in said
    assert started.existing_roles() == {auth}
    run_sql(f"REVOKE {quote_name(user)} FROM {quote_name(auth)}")


def test_a_role_that_is_more_than_a_request_role_is_kept(started: Project) -> None:
    _, anon, web = started.roles
    run_sql(f"ALTER ROLE {quote_name(anon)} SUPERUSER")
    run_sql(f"ALTER ROLE {quote_name(web)} LOGIN")
    said = started.succeed("pgcraft_wipe_db", "--no-input")
    assert f'Kept the role "{anon}": it is a superuser.' in said
    assert f'Kept the role "{web}": it can log in, so it is more than a request role.' in said


def test_a_role_that_the_settings_do_not_name_is_never_touched(started: Project, user: str) -> None:
    started.entry.update(USER="postgres", PASSWORD="")
    started.query(f"GRANT SELECT ON shop_item TO {quote_name(user)}")
    started.succeed("pgcraft_wipe_db", "--no-input")
    with administrator() as connection:
        assert connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [user]).fetchone() is not None


def test_an_owner_with_createdb_and_createrole_may_wipe(project: Project, user: str) -> None:
    run_sql(f"ALTER ROLE {quote_name(user)} CREATEDB CREATEROLE")
    project.succeed("pgcraft_init")
    said = project.succeed("pgcraft_wipe_db", "--no-input")
    assert project.existing_roles() == set(), said
    project.succeed("pgcraft_init")


def test_an_owner_without_createrole_keeps_the_roles_with_a_message(project: Project, user: str) -> None:
    run_sql(f"ALTER ROLE {quote_name(user)} CREATEDB")
    with administrator() as dba:
        dba.execute(project.succeed("pgcraft_roles", "--sql"))
    project.succeed("pgcraft_init")
    said = project.succeed("pgcraft_wipe_db", "--no-input")
    assert f'Kept the role "{project.roles[0]}": permission denied to drop role' in said
    assert project.query("SELECT to_regclass('django_migrations')") == [(None,)]


@pytest.mark.parametrize("command", ["pgcraft_wipe_db", "pgcraft_reset"])
def test_what_cannot_be_put_back_is_not_destroyed(started: Project, user: str, command: str) -> None:
    message = started.fail(command, "--no-input")
    assert f"'{user}' may not drop it. Nothing was done." in message
    run_sql(f"ALTER DATABASE {quote_name(started.database)} OWNER TO {quote_name(user)}")
    message = started.fail(command, "--no-input")
    assert f"ALTER ROLE {quote_name(user)} CREATEDB;" in message
    assert len(started.applied()) == 4
    assert (started.folder / "shop" / "migrations" / "0001_initial.py").exists()


def test_a_refused_drop_leaves_everything_as_it_was(started: Project) -> None:
    run_sql(f"ALTER DATABASE {quote_name(started.database)} IS_TEMPLATE true")
    try:
        message = started.fail("pgcraft_reset", "--no-input")
    finally:
        run_sql(f"ALTER DATABASE {quote_name(started.database)} IS_TEMPLATE false")
    assert "cannot drop a template database" in message
    assert len(started.applied()) == 4
    assert started.databases_like_it() == {started.database}
    assert started.existing_roles() == set(started.roles)
    assert (started.folder / "shop" / "migrations" / "0001_initial.py").exists()


def test_the_servers_own_database_is_refused(project: Project) -> None:
    for name in ("postgres", "template1"):
        project.entry["NAME"] = name
        assert "belongs to the server itself" in project.fail("pgcraft_wipe_db", "--no-input")


def test_reset_shows_both_losses_asks_once_and_wipes_both(started: Project) -> None:
    said = started.succeed("pgcraft_reset", answer="yes\n")
    assert said.count("Type 'yes'") == 1
    assert f"The database {quote_name(started.database)}" in said
    assert "shop/migrations/0001_initial.py" in said
    assert started.query("SELECT to_regclass('shop_item')") == [(None,)]
    assert not (started.folder / "shop" / "migrations" / "0001_initial.py").exists()
    started.succeed("makemigrations", "shop", "library")
    started.succeed("pgcraft_init")
    assert len(started.applied()) == 4


# -- A database that cannot be used ------------------------------------------------------------------------------

ARGUMENTS = {"pgcraft_rollback": ["shop"], "pgcraft_reset": ["--no-input"], "pgcraft_wipe_db": ["--no-input"]}
ARGUMENTS |= {"pgcraft_serve": ["--port", "0"]}
CHECKED = (
    MODELS
    + """
    class Meta:
        constraints = [models.UniqueConstraint(fields=["name"], name="once", nulls_distinct=False)]
"""
)  # Django's check of it asks the server
ABOUT_A_DATABASE = ["migrate"] + [
    name
    for name, app in sorted(get_commands().items())
    if app == "pgcraft_django" and isinstance(load_command_class(app, name), DatabaseCommand)
]


@pytest.mark.parametrize("command", ABOUT_A_DATABASE)
def test_a_database_that_cannot_be_used_is_one_message_without_a_password(project: Project, command: str) -> None:
    arguments = [command, *ARGUMENTS.get(command, ())]
    project.write("shop", "models.py", CHECKED)
    binary = {"PGCRAFT_POSTGREST": str(find_binary())}
    reachable = project.entry
    project.entry = {**reachable, "HOST": "127.0.0.1", "PORT": "1", "PASSWORD": CANARY}
    said = project.fail(*arguments, **binary)
    assert "on 127.0.0.1, port 1" in said
    assert "Check DATABASES['default']" in said
    project.entry = {**reachable, "USER": "nobody_here", "PASSWORD": CANARY}
    assert "authentication failed" in (said := said + project.fail(*arguments, **binary))
    assert CANARY not in said
    project.entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    if command != "migrate":  # SQLite is none of our business there
        assert "PostgreSQL" in project.fail(*arguments, **binary)
