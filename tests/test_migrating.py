"""`migrate` while others migrate, read, and are killed."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from tests.support.databases import administrator, temporary_database
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
