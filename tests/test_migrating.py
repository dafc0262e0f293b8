"""`migrate` while others migrate, read, and are killed."""

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.commands import migrate
from django.db import connections, transaction
from django.db.migrations import Migration
from psycopg import IsolationLevel
from psycopg.errors import DatatypeMismatch, InsufficientPrivilege

from pgcraft_django.autodetector import aside
from pgcraft_django.autodetector.aside import objects_made_by
from pgcraft_django.autodetector.diff import States
from pgcraft_django.migrating import ADVISORY_LOCK
from tests.settings import database
from tests.support.catalog import read_catalog
from tests.support.databases import administrator, temporary_database, wait_until_blocked
from tests.support.manage import MODELS, ManagedProject, make_project

ROUNDS = int(os.environ.get("PGCRAFT_MIGRATE_ROUNDS", "2"))
"""Of the tests with chance in them; more are run by hand."""

EDITED = MODELS.replace("    name = models.TextField()\n", "    name = models.CharField(max_length=50)\n")


@pytest.fixture
def project(tmp_path: Path, unblocked: None) -> Iterator[ManagedProject]:
    with temporary_database() as alias:
        connections[alias].close()
        project = make_project(tmp_path, connections.settings[alias]["NAME"])
        project.manage("makemigrations", "shop", "--verbosity", "0")
        yield project


def test_several_at_once_all_succeed(project: ManagedProject) -> None:
    for _ in range(ROUNDS):
        running = [project.start("migrate") for _ in range(4)]
        said = [process.communicate(timeout=120)[0] for process in running]
        assert [process.returncode for process in running] == [0] * 4, said
        assert sum("Applying shop.0001_initial... OK" in text for text in said) == 1
        project.manage("migrate", "shop", "zero")


INDEXED = """
import time
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

OTHER = "SELECT 1 FROM pg_stat_activity WHERE query ~ 'advisory' AND pid <> pg_backend_pid()"
OTHER += " AND datname = current_database()"

def wait_for_the_other(apps, editor):
    deadline = time.monotonic() + 30
    with editor.connection.cursor() as cursor:
        while not cursor.execute(OTHER).fetchone() and time.monotonic() < deadline:
            time.sleep(0.01)

class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0001_initial")]
    operations = [
        migrations.RunPython(wait_for_the_other),
        AddIndexConcurrently("person", models.Index(fields=["name"], name="people_name")),
    ]
"""


def test_who_waits_for_another_migrate_does_not_stop_an_index_that_is_made_concurrently(
    project: ManagedProject,
) -> None:
    """PostgreSQL lets it wait for each statement that runs, also for one that waits for a lock."""
    project.manage("migrate")
    (project.folder / "shop" / "migrations" / "0002_indexed.py").write_text(INDEXED)
    running = [project.start("migrate") for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said


def test_who_waits_for_another_migrate_is_told_at_once_for_which_session(project: ManagedProject) -> None:
    """It may be one that hangs, or somebody else's: nothing else would say so."""
    with administrator(project.database) as other:
        other.execute("SET idle_session_timeout = '30s'")  # nothing is read until then, if nothing is said
        other.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        waiting = project.start("migrate", PYTHONUNBUFFERED="")
        assert waiting.stdout
        said = waiting.stdout.readline()
        other.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])
        rest, _ = waiting.communicate(timeout=60)
        pid = other.info.backend_pid
    assert f"Waiting for another migrate to end. It is session {pid} of " in said
    assert f"If that is none: SELECT pg_terminate_backend({pid})" in said
    assert "Applying shop.0001_initial... OK" in rest


LOSING = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunSQL("SELECT pg_advisory_unlock_all()")]
"""


def test_a_lock_that_was_lost_on_the_way_is_told(project: ManagedProject) -> None:
    """As behind a pool that gives each transaction another session: nobody could say who else is migrating."""
    assert "direct connection" not in project.manage("migrate")
    (project.folder / "shop" / "migrations" / "0002_losing.py").write_text(LOSING)
    assert "Run migrate on a direct connection." in project.manage("migrate")


def test_within_a_transaction_the_lock_ends_with_it(unblocked: None) -> None:
    with temporary_database() as alias:
        with transaction.atomic(using=alias):
            call_command("migrate", "contenttypes", database=alias, verbosity=0)
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
            assert cursor.fetchone() == (0,)


def test_readers_wait_for_no_migration_that_waits_for_a_reader(project: ManagedProject) -> None:
    project.manage("migrate")
    project.models(EDITED)
    project.manage("makemigrations", "shop", "--verbosity", "0")
    with administrator(project.database) as slow, administrator(project.database) as other:
        with slow.transaction():
            slow.execute("SELECT count(*) FROM api.people")
            migrating = project.start("migrate")
            longest, deadline = 0.0, time.monotonic() + 4
            while time.monotonic() < deadline:
                began = time.monotonic()
                other.execute("SELECT count(*) FROM api.people")
                longest = max(longest, time.monotonic() - began)
                time.sleep(0.01)
            assert migrating.poll() is None, migrating.communicate()[0]
        said, _ = migrating.communicate(timeout=60)
    assert migrating.returncode == 0, said
    assert said.count("Applying shop.0002") == 1
    assert longest < 1
    assert "No changes" in project.manage("makemigrations", "--check")


RELATED = """
class Book(PGCraftSimple):
    author = models.ForeignKey(Person, models.CASCADE)
    number = models.IntegerField(db_index=True)
"""
POINTING = """
class Badge(models.Model):
    person = models.ForeignKey(Person, models.CASCADE)
"""


def test_a_migration_that_gets_no_lock_for_what_it_does_last_is_done_again_as_a_whole(project: ManagedProject) -> None:
    """Foreign keys come last, and wait for those who write to the table that they refer to."""
    project.manage("migrate")
    project.models(MODELS + POINTING)
    project.manage("makemigrations", "shop", "--verbosity", "0")
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with administrator(project.database) as boss, administrator(project.database) as writer:
        with writer.transaction():
            writer.execute("LOCK TABLE private.people IN ROW EXCLUSIVE MODE")
            migrating = project.start("migrate")
            for is_waiting in (1, 0):  # until it has given up once
                while boss.execute(waiting).rowcount != is_waiting:
                    assert migrating.poll() is None, migrating.communicate()[0]
                    time.sleep(0.01)
        said, _ = migrating.communicate(timeout=60)
        assert migrating.returncode == 0, said
        assert boss.execute("SELECT count(*) FROM shop_badge").fetchall() == [(0,)]
    project.manage("migrate", "--check")


ENTRIES = f"""{MODELS}
from pgcraft_django.models import PGCraftLedger
from pgcraft_django.plugins import Balance

class Entry(PGCraftLedger):
    account = models.TextField()
"""
ADDED_UP = f"""{ENTRIES}
    class PGCraft:
        plugins = [Balance(dimensions=["account"])]
"""


def test_what_is_worked_out_from_rows_counts_those_that_were_waited_for(project: ManagedProject) -> None:
    """Also where a transaction would otherwise see what was there when it began."""
    project.models(ENTRIES)
    project.manage("makemigrations", "shop", "--name", "booked")
    project.manage("migrate")
    project.models(ADDED_UP)
    project.manage("makemigrations", "shop", "--name", "added_up")
    strict = {**database(project.database), "OPTIONS": {"isolation_level": IsolationLevel.REPEATABLE_READ.value}}
    project.settings(DATABASES={"default": strict})
    book = "INSERT INTO private.shop_entry (account, value) VALUES ('A', 5)"
    with administrator(project.database) as client:
        client.execute(f"{book}; BEGIN; {book}")
        with ThreadPoolExecutor(1) as pool:
            migrating = pool.submit(project.manage, "migrate")
            wait_until_blocked(migrating, project.database)
            client.execute("COMMIT")
            assert "added_up... OK" in migrating.result()
        assert client.execute("SELECT balance FROM private.shop_entry_balance").fetchall() == [(10,)]


def test_what_went_wrong_last_is_told_and_not_what_follows_from_it(project: ManagedProject) -> None:
    project.settings(
        INSTALLED_APPS=["django.contrib.contenttypes", "pgcraft_django", "shop"], MIGRATION_MODULES={"shop": None}
    )
    pointing = POINTING.replace("Person,", "'contenttypes.ContentType',")
    project.models(MODELS + pointing)
    said = project.manage("migrate", "--run-syncdb", status=1)
    assert 'relation "django_content_type" does not exist' in said
    assert "transaction is aborted" not in said


REFUSAL = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not noted'; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR DELETE ON public.django_migrations FOR EACH ROW EXECUTE FUNCTION public.refuse();
"""


def test_a_migration_and_the_note_of_it_are_one_transaction(project: ManagedProject) -> None:
    project.manage("migrate", "shop")
    project.models(MODELS + RELATED)
    project.manage("makemigrations", "shop", "--verbosity", "0")
    with administrator(project.database) as boss:
        tables = "SELECT to_regclass('private.shop_book') IS NULL, to_regclass('api.shop_book') IS NULL"
        for target, is_missing in (("0002", True), ("0001", False)):
            boss.execute(REFUSAL)
            said = project.manage("migrate", "shop", target, status=1)
            assert "not noted" in said
            assert "OK" not in said
            assert boss.execute(tables).fetchall() == [(is_missing, is_missing)]
            boss.execute("DROP FUNCTION public.refuse() CASCADE")
            assert "OK" in project.manage("migrate", "shop", target)
            assert boss.execute(tables).fetchall() == [(not is_missing, not is_missing)]


PACKAGE = """
from django.db import models

class Firm(models.Model):
    id = models.AutoField(primary_key=True)
    name = models.TextField(null=True)
"""
OVER_PACKAGE = """
from django.db import models
from pgcraft_django.api import API
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftSimple
from pgcraft_django.policies import OwnerPolicy

def firm():
    return models.ForeignKey("vendor.Firm", models.CASCADE, related_name="+")

class Line(PGCraftSimple):
    firm = firm()
    class PGCraft:
        api = API(grants={"webuser": "all"})
        policies = [OwnerPolicy("firm__name")]

class Review(PGCraftAppendOnly):
    firm = firm()

class Product(PGCraftEAV):
    firm = firm()
    name = models.TextField(null=True)
    class PGCraft:
        api = API(grants={"webuser": "all"})
        policies = [OwnerPolicy("firm__name")]
"""
NEW_RELEASE = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("vendor", "0001_initial")]
    operations = [
        migrations.AlterField("firm", "id", models.BigAutoField(primary_key=True, serialize=False)),
        migrations.AlterField("firm", "name", models.CharField(max_length=50, null=True)),
        migrations.AlterField("firm", "name", models.CharField(max_length=50, null=True, db_comment="In full")),
    ]
"""
TYPES = """
    SELECT attrelid::regclass::text, atttypid::regtype::text FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE attname = 'firm_id' AND relkind IN ('r', 'v') ORDER BY 1
"""


def use_package(project: ManagedProject, models: str, own_models: str, exposing: str = "register(Firm)") -> Path:
    """Let the project use an app `vendor` whose first model it exposes; return where that is."""
    package = project.folder / "vendor"
    (package / "migrations").mkdir(parents=True)
    for name in ("__init__.py", "migrations/__init__.py"):
        (package / name).touch()
    (package / "models.py").write_text(models)
    (project.folder / "shop" / "pgcraft.py").write_text(
        "from django.db.models import Q\nfrom pgcraft_django import register\nfrom pgcraft_django.api import API\n"
        f"from pgcraft_django.policies import *\nfrom vendor.models import Firm\n{exposing}\n"
    )
    for path in (project.folder / "shop" / "migrations").glob("0*.py"):
        path.unlink()
    project.models(own_models)
    project.settings(INSTALLED_APPS=["pgcraft_django", "vendor", "shop"])
    project.manage("makemigrations", "vendor", "shop", "--verbosity", "0")
    return package


def test_a_package_changes_types_under_views_functions_and_policies_and_back(project: ManagedProject) -> None:
    """The package knows nothing of them, and `makemigrations` has not been run."""
    package = use_package(project, PACKAGE, OVER_PACKAGE)
    project.manage("migrate")
    [alias] = (alias for alias in connections if connections.settings[alias]["NAME"] == project.database)

    def rest() -> dict[str, Any]:
        """Return what does not name a type, nor, as foreign keys that Django has altered, its own."""
        return {
            kind: rows
            for kind, rows in read_catalog(connections[alias]).items()
            if kind not in ("columns", "constraints")
        }

    def seen() -> list[tuple[Any, ...]]:
        """Return what the owner sees, and could write."""
        with boss.transaction(force_rollback=True):
            boss.execute("SET LOCAL ROLE webuser")
            boss.execute("SELECT set_config('request.jwt.claims', '{\"sub\": \"a\"}', true)")
            boss.execute("INSERT INTO api.shop_product (firm_id, name) VALUES (1, 'c')")
            return boss.execute("SELECT firm_id, name FROM api.shop_product WHERE name = 'b'").fetchall()

    with administrator(project.database) as boss:
        boss.execute(
            "INSERT INTO vendor_firm (name) VALUES ('a'); INSERT INTO private.shop_line (firm_id) VALUES (1);"
            "INSERT INTO private.shop_review (firm_id) VALUES (1); UPDATE private.shop_review SET firm_id = 1;"
            "INSERT INTO private.shop_product (firm_id, name) VALUES (1, 'b')"
        )
        before = boss.execute(TYPES).fetchall()
        assert {kind for _, kind in before} == {"integer"}
        others = rest()
        assert seen() == [(1, "b")]
        (package / "migrations" / "0002_bigger.py").write_text(NEW_RELEASE)
        (package / "models.py").write_text(
            PACKAGE.replace("AutoField", "BigAutoField").replace(
                "TextField(", "CharField(db_comment='In full', max_length=50, "
            )
        )
        assert "Applying vendor.0002_bigger... OK" in project.manage("migrate", "vendor")
        assert boss.execute(TYPES).fetchall() == [(table, "bigint") for table, _ in before]
        assert rest() == others
        with pytest.raises(DatatypeMismatch):  # the policy goes through the key, and is closed until it is made anew
            seen()
        assert "vendor.0002_bigger... OK" in project.manage("migrate", "vendor", "0001")
        assert (boss.execute(TYPES).fetchall(), rest()) == (before, others)
        project.manage("makemigrations", "shop", "--verbosity", "0")
        project.manage("migrate")
        assert boss.execute(TYPES).fetchall() == [(table, "bigint") for table, _ in before]
        assert "No changes" in project.manage("makemigrations", "--check")
        assert seen() == [(1, "b")]


def test_objects_over_a_packages_columns_are_known_as_they_are_on_the_way(project: ManagedProject) -> None:
    """In one run, forwards and backwards, others make and drop some between two migrations of the package."""
    package = use_package(project, PACKAGE, "", "register(Firm, api=API(name='n1'))")
    exposing = project.folder / "shop" / "pgcraft.py"
    kinds = {2: "CharField(max_length=50, null=True)", 3: "TextField(null=True)"}
    for number, kind in kinds.items():
        before = [
            (label, path.stem)
            for label in ("vendor", "shop")
            for path in (project.folder / label / "migrations").glob(f"{number - 1:04d}*.py")
        ]
        (package / "migrations" / f"{number:04d}_kind.py").write_text(
            "from django.db import migrations, models\n\n"
            "class Migration(migrations.Migration):\n"
            f"    dependencies = {before}\n"
            f"    operations = [migrations.AlterField('firm', 'name', models.{kind})]\n"
        )
        (package / "migrations" / f"{number:04d}_note.py").write_text(
            "from django.db import migrations\n\n"
            "class Migration(migrations.Migration):\n"
            f"    dependencies = [('vendor', '{number:04d}_kind')]\n"
        )
        (package / "models.py").write_text(PACKAGE.replace("TextField(null=True)", kind))
        exposing.write_text(exposing.read_text().replace(f"name='n{number - 1}'", f"name='n{number}'"))
        project.manage("makemigrations", "shop", "--verbosity", "0")
    for target in ((), ("vendor", "zero"), ()):
        assert "vendor.0003_kind... OK" in project.manage("migrate", *target)
    assert "No changes" in project.manage("makemigrations", "--check")


def test_what_migrations_have_made_is_worked_out_once_on_the_way(
    unblocked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not for each migration anew, from the first one on."""
    walked: list[Migration] = []

    def watched(migrations: Iterable[Migration], *before: States) -> States:
        walked.extend(listed := list(migrations))
        return objects_made_by(listed, *before)

    monkeypatch.setattr(aside, "objects_made_by", watched)
    with temporary_database() as alias:
        executor = migrate.MigrationExecutor(connections[alias])
        there = executor.loader.graph.leaf_nodes("auth")
        for targets in (there, [("auth", None)]):
            walked.clear()
            executor.migrate(targets)
            executor.loader.build_graph()
            assert len(walked) == len(set(walked)) > 5


OTHER_RELEASE = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("vendor", "0001_initial")]
    operations = [
        migrations.RemoveField("firm", "name"),
        migrations.AddField("firm", "title", models.TextField(null=True)),
        migrations.RenameModel("Firm", "Company"),
    ]
"""


def release(package: Path) -> None:
    """Replace the column that the package has by another one, and the table by one of another name."""
    (package / "migrations" / "0002_other.py").write_text(OTHER_RELEASE)
    (package / "models.py").write_text(PACKAGE.replace("Firm", "Company").replace("name =", "title ="))
    exposing = package.parent / "shop" / "pgcraft.py"
    exposing.write_text(exposing.read_text().replace("Firm", "Company"))


def test_no_view_is_lost_with_what_a_package_takes_away(project: ManagedProject) -> None:
    """Django removes columns with CASCADE."""
    package = use_package(project, PACKAGE, "")
    project.manage("migrate")
    release(package)
    written = package / "migrations" / "0002_other.py"
    written.write_text(OTHER_RELEASE.replace("    dependencies", "    atomic = False\n    dependencies"))
    gone = "vendor.0002_other takes vendor_firm.name away, which view api.vendor_firm shows"
    assert gone in project.manage("migrate", status=1)
    written.write_text(OTHER_RELEASE)
    said = project.manage("migrate", status=1)
    assert gone in said
    assert "made before, and move ('vendor', '0002_other') from dependencies to a list run_before." in said
    assert "Traceback" not in said
    project.manage("makemigrations", "shop", "--name", "without")
    assert "vendor.0002_other takes" in project.manage("migrate", status=1)
    written = project.folder / "shop" / "migrations" / "0002_without.py"
    text, moved = written.read_text(), "        ('vendor', '0002_other'),\n"
    assert moved in text
    text = text.replace(moved, "").replace("    operations", f"    run_before = [\n{moved}    ]\n    operations")
    written.write_text(text[: text.index("        pgcraft_django.operations.Create(")] + "    ]\n")
    project.manage("makemigrations", "shop", "--name", "again")
    for target in ((), ("shop", "zero"), ("vendor", "zero"), ()):
        assert "OK" in project.manage("migrate", *target)
    with administrator(project.database) as boss:
        columns = boss.execute("SELECT * FROM api.vendor_company").description
        assert [column.name for column in columns or ()] == ["id", "title"]
    assert "No changes" in project.manage("makemigrations", "--check")


def test_a_table_that_a_package_renames_is_told_before_its_grants_cannot_be_dropped(project: ManagedProject) -> None:
    package = use_package(project, PACKAGE, "")
    project.manage("migrate")
    release(package)
    (package / "migrations" / "0002_other.py").write_text(
        OTHER_RELEASE.replace('        migrations.RemoveField("firm", "name"),\n', "")
    )
    said = project.manage("migrate", status=1)
    assert "vendor.0002_other takes vendor_firm away, which view api.vendor_firm shows" in said


def test_no_policy_is_lost_with_what_a_package_takes_away(project: ManagedProject) -> None:
    """Without the restrictive one, everybody saw all rows."""
    everybody, some = "PublicReadPolicy()", "Policy('x', using=Q(name='x'), permissive=False)"
    hidden = f"register(Firm, api=API(columns=['id']), policies=[{everybody}, {some}])"
    package = use_package(project, PACKAGE, "", hidden)
    project.manage("migrate")
    (package / "migrations" / "0002_other.py").write_text(OTHER_RELEASE)
    assert (
        "takes vendor_firm.name away, which policy x of public.vendor_firm needs. Let the policy go first:"
        in project.manage("migrate", status=1)
    )


def test_no_policy_stays_on_a_table_that_a_package_renames(project: ManagedProject) -> None:
    """No migration could drop it any more."""
    package = use_package(project, PACKAGE, "", "register(Firm, api=[], policies=[PublicReadPolicy()])")
    project.manage("migrate")
    release(package)
    written = package / "migrations" / "0002_other.py"
    written.write_text(OTHER_RELEASE.replace('        migrations.RemoveField("firm", "name"),\n', ""))
    said = project.manage("migrate", status=1)
    assert "takes vendor_firm away, which policy public_read of public.vendor_firm needs" in said


def test_no_row_is_seen_while_a_policy_makes_way_for_the_migration_of_another_app(project: ManagedProject) -> None:
    """It may fail, and the policy that comes back after it does not."""
    hiding = "PublicReadPolicy(), Policy('x', using=Q(name='x'), permissive=False)"
    exposing = f"register(Firm, api=API(columns=['id'], grants={{'anon': ['select']}}), policies=[{hiding}])"
    package = use_package(project, PACKAGE, "", exposing)
    project.manage("migrate")
    (package / "models.py").write_text(PACKAGE.replace("TextField(", "CharField(max_length=3, unique=True, "))
    project.manage("makemigrations", "vendor", "shop")
    with administrator(project.database) as boss, administrator(project.database) as anon:
        boss.execute("INSERT INTO vendor_firm (name) VALUES ('x'), ('same'), ('same')")
        anon.execute("SET ROLE anon")
        assert "could not create unique index" in project.manage("migrate", status=1)
        with pytest.raises(InsufficientPrivilege):
            anon.execute("SELECT * FROM api.vendor_firm")
        boss.execute("DELETE FROM vendor_firm WHERE id = 3")
        project.manage("migrate")
        assert anon.execute("SELECT id FROM api.vendor_firm").fetchall() == [(1,)]
    assert "No changes" in project.manage("makemigrations", "--check")


def test_a_column_that_a_package_has_removed_before_it_is_shown_is_told_with_what_to_write(
    project: ManagedProject,
) -> None:
    """As in a new database, where the migrations of the package may all come first."""
    package = use_package(project, PACKAGE, "")
    (package / "migrations" / "0002_other.py").write_text(OTHER_RELEASE)
    project.manage("migrate", "vendor")
    assert "add that migration to `run_before` in this one" in project.manage("migrate", "shop", status=1)


BOOKED = """
from django.db import models
from pgcraft_django.models import PGCraftLedger
from pgcraft_django.plugins import DoubleEntry

class Entry(PGCraftLedger):
    class Meta:
        db_table = "entries"

    class PGCraft:
        plugins = [DoubleEntry()]
"""


def test_a_column_whose_values_are_gone_is_told_in_one_message(project: ManagedProject) -> None:
    """As `direction`, when `DoubleEntry` was removed from a ledger with entries."""
    project.models(MODELS + BOOKED)
    project.manage("makemigrations", "shop", "--verbosity", "0")
    project.manage("migrate")
    with administrator(project.database) as connection:
        connection.execute(
            "INSERT INTO private.entries (entry_id, value, direction) SELECT entry, 5, direction"
            " FROM (SELECT gen_random_uuid()) AS one (entry), (VALUES ('debit'), ('credit')) AS legs (direction)"
        )
    project.models(MODELS + BOOKED.replace("DoubleEntry()", ""))
    project.manage("makemigrations", "shop", "--name", "single")
    project.manage("migrate")
    said = project.manage("migrate", "shop", "0002", status=1)
    assert 'shop.0003_single cannot be taken back, and stays applied: column "direction" of relation' in said
    assert "makemigrations, which asks for a value" in said
    assert "Traceback" not in said
    assert "No migrations to apply" in project.manage("migrate")
