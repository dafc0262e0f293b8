"""What PostgreSQL promises of a history, whoever writes and however."""

import re
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.apps.registry import Apps
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.db import Error, IntegrityError, connection, models
from django.db.migrations import CreateModel, DeleteModel, Migration, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.migrations.questioner import MigrationQuestioner

from pgcraft_django import history_context
from pgcraft_django.errors import MigrationError
from pgcraft_django.models import PGCraftAppendOnly, PGCraftSimple
from tests.history.conftest import Place, define
from tests.history.test_random import BROKEN_PERIODS
from tests.support.databases import administrator

INSERT = "INSERT INTO students (name, data, marks) VALUES (%s, '{}', '{}') RETURNING id"


def versions(place: Place) -> list[tuple[Any, ...]]:
    return place.query("SELECT id, version, name, operation FROM students_history ORDER BY history_id")


def test_every_way_of_writing_keeps_what_was(students: Place) -> None:
    [(first,)] = students.query(INSERT, ["a"])
    [(second,)] = students.query(INSERT, ["b"])
    assert versions(students) == []
    students.query("UPDATE students SET name = name || '!'")
    students.rows().filter(id=first).update(name="c")
    student = students.rows().get(id=second)
    student.name = "d"
    student.save(using=students.site.alias)
    students.query(
        "INSERT INTO students (id, name, data, marks) VALUES (%s, 'e', '{}', '{}')"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        [second],
    )
    students.rows().bulk_update([students.model("Student")(id=first, name="f")], ["name"])
    student.delete(using=students.site.alias)
    assert versions(students) == [
        (first, 1, "a", "update"),
        (second, 1, "b", "update"),
        (first, 2, "a!", "update"),
        (second, 2, "b!", "update"),
        (second, 3, "d", "update"),
        (first, 3, "c", "update"),
        (second, 4, "e", "delete"),
    ]


def test_a_cascade_writes_versions_too(students: Place) -> None:
    school = students.rows("School").create(name="x")
    students.rows().create(name="a", school=school)
    key = school.pk
    school.delete(using=students.site.alias)
    assert [(version.school_id, version.operation) for version in students.history()] == [(key, "update")]


@pytest.mark.parametrize("rule", [name for name in ("CASCADE", "DB_CASCADE") if hasattr(models, name)])
def test_a_row_that_goes_with_another_leaves_its_versions(place: Place, rule: str) -> None:
    school = models.ForeignKey("shop.School", getattr(models, rule), null=True, related_name="students")
    place.evolve(lambda apps: define(apps, school=school))
    place.query("ALTER TABLE students ADD other bigint REFERENCES schools ON DELETE CASCADE")
    place.query("INSERT INTO schools (name) VALUES ('x'), ('y'), ('z')")
    add = "INSERT INTO students (name, data, marks, school_id, other) SELECT %s, '{}', '{}', %s, %s"
    for values in (["a", 1, None], ["b", 1, None], ["c", None, 2], ["d", 3, None]):
        place.query(add, values)
    place.query("UPDATE students SET name = 'a!' WHERE name = 'a'")
    with history_context(actor="alice", reason="closed"):
        place.rows("School").filter(name="x").delete()
    place.query("DELETE FROM schools WHERE name = 'y'")
    ended = [(1, 1, "a", "update"), (1, 2, "a!", "delete"), (2, 1, "b", "delete"), (3, 1, "c", "delete")]
    assert versions(place) == ended
    assert place.query("SELECT actor, reason FROM students_history WHERE id = 2") == [("alice", "closed")]
    assert place.query("SELECT name FROM students") == [("d",)]


def test_a_change_of_nothing_is_no_version_and_stamps_cannot_be_forged(students: Place) -> None:
    students.query(INSERT, ["a"])
    before = students.query("SELECT * FROM students")
    students.query("UPDATE students SET name = name, data = data, marks = marks")
    students.query("UPDATE students SET version = 9, valid_from = '1970-01-01'")
    students.query("UPDATE students SET version = NULL, valid_from = NULL")
    assert students.query("SELECT * FROM students") == before
    students.query("UPDATE students SET version = 9, valid_from = '1970-01-01', name = 'b'")
    assert students.query("SELECT version, valid_from > now() - interval '1 minute' FROM students") == [(2, True)]
    assert versions(students) == [(1, 1, "a", "update")]


def test_a_row_that_two_foreign_keys_set_to_null_at_once_has_a_version_for_each(students: Place) -> None:
    for column in ("one", "other"):
        students.query(f"ALTER TABLE students ADD {column} bigint REFERENCES schools ON DELETE SET NULL")
    students.query("INSERT INTO schools (name) VALUES ('x')")
    students.query("INSERT INTO students (name, data, marks, one, other) SELECT 'a', '{}', '{}', id, id FROM schools")
    students.query("DELETE FROM schools")
    assert [version for _, version, _, _ in versions(students)] == [1, 2]
    assert students.query("SELECT version, one, other FROM students") == [(3, None, None)]


def test_two_updates_in_one_transaction_are_two_versions_with_periods_that_meet(students: Place) -> None:
    students.query(INSERT, ["a"])
    students.query("BEGIN")
    for name in "bcd":
        students.query("UPDATE students SET name = %s", [name])
    students.query("COMMIT")
    periods = students.query("SELECT valid_from, valid_to FROM students_history ORDER BY version")
    assert len(periods) == 3
    assert all(begin < end for begin, end in periods)
    assert [end for _, end in periods[:-1]] == [begin for begin, _ in periods[1:]]
    assert students.query("SELECT valid_from FROM students") == [(periods[-1][1],)]


def test_periods_do_not_run_backwards_where_the_clock_does(students: Place) -> None:
    """Rows that begin in times to come, as those of a server whose clock was ahead."""
    students.query(
        "INSERT INTO students (id, name, data, marks, valid_from)"
        " SELECT n, 'a', '{}', '{}', '2999-01-01Z' FROM generate_series(1, 2) n"
    )
    students.query("UPDATE students SET name = 'b'")
    students.query("UPDATE students SET name = 'c' WHERE id = 1")
    students.query("DELETE FROM students")
    students.query("INSERT INTO students (id, name, data, marks) VALUES (1, 'd', '{}', '{}')")
    assert sorted(version for _, version, _, _ in versions(students)) == [1, 1, 2, 2, 3]
    assert students.query(BROKEN_PERIODS) == []


def test_nobody_changes_the_history_or_empties_the_table(students: Place) -> None:
    students.query(INSERT, ["a"])
    students.query("UPDATE students SET name = 'b'")
    for statement in (
        "UPDATE students_history SET name = ''",
        "DELETE FROM students_history",
        "TRUNCATE students_history",
        "TRUNCATE students",
        "TRUNCATE students CASCADE",
    ):
        with pytest.raises(IntegrityError, match="never changed or removed"):
            students.query(statement)
    students.query("SET ROLE webuser")
    for statement in (
        "INSERT INTO api.students_history (name) VALUES ('')",
        "UPDATE api.students_history SET name = ''",
        "DELETE FROM api.students_history",
        "INSERT INTO private.students_history (name) VALUES ('')",
    ):
        with pytest.raises(Error, match="permission denied"):
            students.query(statement)
    assert students.query("SELECT name FROM api.students_history") == [("a",)]
    students.query("RESET ROLE")


def test_a_request_writes_history_that_it_could_not_write_itself(students: Place) -> None:
    students.query("SET ROLE webuser")
    students.query("""SELECT set_config('request.jwt.claims', '{"sub": "alice"}', false)""")
    students.query("INSERT INTO api.students (name) VALUES ('a')")
    students.query("UPDATE api.students SET name = 'b'")
    students.query("DELETE FROM api.students")
    students.query("RESET ROLE")
    assert students.query("SELECT name, operation, actor FROM students_history ORDER BY version") == [
        ("a", "update", "alice"),
        ("b", "delete", "alice"),
    ]


@pytest.mark.parametrize(
    ("key", "first", "other"),
    [
        (models.BigAutoField(primary_key=True), 1, 77),
        (models.UUIDField(primary_key=True), UUID(int=1), UUID(int=2)),
        (models.CharField(primary_key=True, max_length=9), "a", "A"),
        (models.FloatField(primary_key=True), 0.0, "-0"),  # equal, and not the same
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_row_keeps_its_key(place: Place, key: Any, first: Any, other: Any) -> None:
    place.evolve(lambda apps: define(apps, id=key.clone(), size=None))
    place.rows().create(id=first, name="a")
    place.query("UPDATE students SET id = %s, name = 'b'", [first])
    for name in ("b", "c"):
        with pytest.raises(IntegrityError, match=r"key of a row in students cannot change"):
            place.query("UPDATE students SET id = %s, name = %s", [other, name])
    assert [version.id for version in place.history()] == [first]


def test_a_key_that_lived_before_goes_on_where_its_history_ends(students: Place) -> None:
    students.query(INSERT, ["a"])
    students.query("UPDATE students SET name = 'b'")
    students.query("DELETE FROM students")
    students.query("INSERT INTO students (id, name, data, marks, valid_from) VALUES (1, 'c', '{}', '{}', '1970-01-01')")
    students.query("UPDATE students SET name = 'd'")
    assert [version for _, version, _, _ in versions(students)] == [1, 2, 3]
    overlaps = students.query(
        "SELECT count(*) FROM students_history a JOIN students_history b"
        " ON a.id = b.id AND a.version < b.version AND a.valid_to > b.valid_from"
    )
    assert overlaps == [(0,)]


def test_a_key_that_a_trigger_gives_goes_on_where_its_history_ends(place: Place) -> None:
    place.evolve(lambda apps: define(apps, id=models.TextField(primary_key=True), size=None))
    place.query("""
        CREATE FUNCTION lower_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.id := lower(NEW.id);
            RETURN NEW;
        END $$;
        CREATE TRIGGER set_id BEFORE INSERT ON students FOR EACH ROW EXECUTE FUNCTION lower_id();
    """)
    for version in (1, 2):
        place.query("INSERT INTO students (id, name) VALUES ('A', 'Ann')")
        assert place.query("SELECT id, version FROM students") == [("a", version)]
        place.query("DELETE FROM students")


def test_an_insert_that_waits_for_a_delete_sees_its_history(students: Place) -> None:
    students.query(INSERT, ["a"])
    database = connection.settings_dict["NAME"] if students.site.alias == "default" else None
    from django.db import connections

    database = database or connections[students.site.alias].settings_dict["NAME"]
    students.query("BEGIN")
    students.query("DELETE FROM students")
    failures: list[BaseException] = []

    def insert() -> None:
        try:
            with administrator(database) as other:
                other.execute("INSERT INTO private.students (id, name, data, marks) VALUES (1, 'b', '{}', '{}')")
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=insert)
    thread.start()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with administrator(database) as watcher:
        while watcher.execute(waiting).fetchone() != (1,):
            assert thread.is_alive(), failures
    students.query("COMMIT")
    thread.join()
    assert failures == []
    assert students.query(
        "SELECT s.version, s.valid_from >= h.valid_to FROM students s JOIN students_history h USING (id)"
    ) == [(2, True)]


def test_what_a_request_says_of_the_stamps_of_a_new_row_does_not_count(students: Place) -> None:
    students.query("SET ROLE webuser")
    for version, valid_from in ((5, "2020-01-01Z"), (None, None), (1, "infinity")):
        [[stamps]] = students.query(
            "INSERT INTO api.students (name, version, valid_from) VALUES ('a', %s, %s)"
            " RETURNING (version, valid_from = statement_timestamp())::text",
            [version, valid_from],
        )
        assert stamps == "(1,t)"


def test_a_restored_row_keeps_its_stamps(students: Place) -> None:
    students.query(
        "INSERT INTO students (id, name, data, marks, version, valid_from)"
        " VALUES (1, 'a', '{}', '{}', 5, '2020-01-01Z')"
    )
    assert students.query("SELECT version, extract(year FROM valid_from)::int FROM students") == [(5, 2020)]


def test_a_model_that_exists_gets_a_history_without_a_rewrite_and_gives_it_back(place: Place) -> None:
    place.evolve(lambda apps: define(apps, base=PGCraftSimple))
    place.query(INSERT, ["a"])
    file = "SELECT pg_relation_filenode('students')"
    before, catalog = place.query(file), place.site.catalog()
    made = place.evolve(define)
    assert place.query(file) == before
    place.query("UPDATE students SET name = 'b'")
    assert versions(place) == [(1, 1, "a", "update")]
    for _ in made:
        place.site.unmigrate()
    assert place.site.catalog() == catalog


def test_a_column_of_a_model_that_exists_is_not_taken_over_by_its_history(place: Place) -> None:
    """Renamed first it keeps its values; renamed while the model gets its history, Django would take it for that's."""
    own = models.DateTimeField(null=True)
    place.evolve(lambda apps: define(apps, base=PGCraftSimple, valid_from=own.clone()))
    with pytest.raises(MigrationError, match=r"^shop\.Student\.valid_from has values of its own.* Rename the field"):
        place.evolve(lambda apps: define(apps, student_valid_from=own.clone()))
    place.query("INSERT INTO students (name, data, marks, valid_from) VALUES ('a', '{}', '{}', '2020-01-01')")
    renaming = MigrationQuestioner({"ask_rename": True})
    place.evolve(lambda apps: define(apps, base=PGCraftSimple, student_valid_from=own.clone()), renaming)
    place.evolve(lambda apps: define(apps, student_valid_from=own.clone()))
    assert place.query("SELECT extract(year FROM student_valid_from), valid_from > '2025-01-01' FROM students") == [
        (2020, True)
    ]


def test_no_row_is_lost_on_the_way_to_a_history_and_back(place: Place) -> None:
    place.evolve(lambda apps: define(apps, base=PGCraftSimple))
    place.query(INSERT, ["a"])
    adopted = place.evolve(define)
    place.query("UPDATE students SET name = 'b'")
    place.query(INSERT, ["c"])
    for _ in adopted:
        place.site.unmigrate()
    rows = "SELECT id, name FROM students ORDER BY id"
    assert place.query(rows) == [(1, "b"), (2, "c")]
    place.site.migrate(adopted)
    assert place.query(rows) == [(1, "b"), (2, "c")]
    place.query("UPDATE students SET name = 'd' WHERE id = 1")
    given_up = place.evolve(lambda apps: define(apps, base=PGCraftSimple))
    place.query("UPDATE students SET name = 'e' WHERE id = 1")
    for _ in given_up:
        place.site.unmigrate()
    assert (place.query(rows), versions(place)) == ([(1, "e"), (2, "c")], [(1, 1, "b", "update")])
    place.query("UPDATE students SET name = 'f' WHERE id = 1")
    assert versions(place) == [(1, 1, "b", "update"), (1, 2, "e", "update")]


def test_a_history_that_was_kept_goes_on(students: Place) -> None:
    students.query(INSERT, ["a"]), students.query(INSERT, ["x"])
    students.query("UPDATE students SET name = 'b' WHERE id = 1")
    students.evolve(lambda apps: define(apps, base=PGCraftSimple))
    students.query("UPDATE students SET name = 'c' WHERE id = 1")
    students.evolve(define)
    assert students.query("SELECT id, version FROM students ORDER BY id") == [(1, 2), (2, 1)]
    students.query("UPDATE students SET name = 'd'")
    kept = {(1, 1, "a", "update"), (1, 2, "c", "update"), (2, 1, "x", "update")}
    assert set(versions(students)) == kept
    students.query("DELETE FROM students WHERE id = 1")
    assert set(versions(students)) - kept == {(1, 3, "d", "delete")}


def test_a_history_goes_on_beside_other_changes_of_rows_with_foreign_keys(students: Place) -> None:
    """The checks of foreign keys, which wait for the end, must not be in the way of what else the migration alters."""
    students.query("INSERT INTO schools (name) VALUES ('s')")
    students.query(INSERT, ["a"])
    students.query("UPDATE students SET school_id = 1")
    students.evolve(lambda apps: define(apps, base=PGCraftSimple))
    marks = ArrayField(models.DecimalField(max_digits=6, decimal_places=2), default=list)
    more = {"code": models.UUIDField(db_default=RandomUUID()), "marks": marks}
    assert len(students.evolve(lambda apps: define(apps, **more))) == 1
    assert students.query("SELECT name, school_id, version, code IS NOT NULL FROM students") == [("a", 1, 2, True)]
    students.site.unmigrate()
    assert students.query("SELECT name, school_id FROM students") == [("a", 1)]


def test_a_history_that_was_kept_follows_what_was_renamed_meanwhile(students: Place) -> None:
    """The names of a plain model were not those of its history. So the history is asked about when it goes on."""
    renamed = MigrationQuestioner({"ask_rename_model": True, "ask_rename": True})
    plain = {"base": PGCraftSimple, "name": "Pupil"}
    info = {"data": None, "info": models.JSONField(default=dict)}
    students.query(INSERT, ["a"])
    students.query("UPDATE students SET data = '[1]'")
    students.evolve(lambda apps: define(apps, base=PGCraftSimple))
    students.evolve(lambda apps: define(apps, **plain), renamed)
    by_hand = re.escape('write RenameModel("StudentHistory", "PupilHistory") in a migration before')
    with pytest.raises(MigrationError, match=by_hand):
        students.evolve(lambda apps: define(apps, name="Pupil"), MigrationQuestioner())
    students.evolve(lambda apps: define(apps, name="Pupil"), renamed)
    students.query("UPDATE students SET data = '[2]'")
    students.evolve(lambda apps: define(apps, **plain))
    students.evolve(lambda apps: define(apps, **plain, **info), renamed)
    students.evolve(lambda apps: define(apps, name="Pupil", **info), renamed)
    students.query("UPDATE students SET info = '[3]'")
    versions = "SELECT version, {} FROM students_history ORDER BY 1"
    assert students.query(versions.format("info")) == [(1, "{}"), (2, "[1]"), (3, "[2]")]
    students.site.unmigrate()
    assert students.query(versions.format("data")) == [(1, "{}"), (2, "[1]"), (3, "[2]")]


def test_a_model_moves_to_another_app_with_its_history_or_not_at_all(place: Place) -> None:
    def book(label: str) -> Callable[[Apps], Any]:
        meta = {"app_label": label, "db_table": "books"}
        return lambda apps: type(
            "Book",
            (PGCraftAppendOnly,),
            {"__module__": __name__, "Meta": type("Meta", (), {"apps": apps, **meta}), "title": models.TextField()},
        )

    place.evolve(book("shop"))
    place.query("INSERT INTO books (title) VALUES ('a')")
    place.query("UPDATE books SET title = 'b'")
    with pytest.raises(
        MigrationError, match=r"^library\.BookHistory would make the table books_history, which is kept"
    ):
        place.evolve(book("library"))
    names = ["Book", "BookHistory"]
    models_there = [place.site.state.models["shop", name.lower()] for name in names]
    there: list[Operation] = [
        CreateModel(model.name, list(model.fields.items()), model.options, model.bases) for model in models_there
    ]
    gone: list[Operation] = [DeleteModel(name) for name in reversed(names)]
    for label, operations in (("library", there), ("shop", gone)):
        by_hand, last = Migration("9000_by_hand", label), place.world.order[-1]
        by_hand.operations = [SeparateDatabaseAndState(state_operations=operations)]
        by_hand.dependencies = [(last.app_label, last.name)]
        place.world.graph.add_node((label, by_hand.name), by_hand)
        place.world.graph.add_dependency(by_hand, (label, by_hand.name), (last.app_label, last.name))
        place.world.order.append(by_hand)
        place.site.migrate([by_hand])
    place.evolve(book("library"))
    place.query("UPDATE books SET title = 'c'")
    assert place.query("SELECT title FROM books_history ORDER BY version") == [("a",), ("b",)]


def test_changes_of_the_model_are_followed_and_a_rename_is_asked_once(students: Place) -> None:
    from django.db import models

    class Asked(MigrationQuestioner):
        times = 0

        def ask_rename(self, *arguments: Any) -> bool:
            Asked.times += 1
            return True

    students.query(INSERT, ["a"])
    students.query("UPDATE students SET name = 'b'")
    students.evolve(
        lambda apps: define(apps, data=None, info=models.JSONField(default=dict), age=models.IntegerField(default=3)),
        Asked(),
    )
    assert Asked.times == 1
    students.query("UPDATE students SET age = 4")
    assert students.query("SELECT age, info FROM students_history ORDER BY version") == [(None, "{}"), (3, "{}")]


def test_a_model_that_is_renamed_takes_its_history_along(students: Place) -> None:
    renamed = MigrationQuestioner({"ask_rename_model": True, "ask_rename": True})
    students.query(INSERT, ["a"])
    students.query("UPDATE students SET name = 'b'")
    students.evolve(lambda apps: define(apps, name="Pupil", table="pupils", schema="other"), renamed)
    students.query("UPDATE pupils SET name = 'c'")
    assert students.query("SELECT name FROM other.pupils_history ORDER BY version") == [("a",), ("b",)]


def test_without_a_history_any_more_the_versions_are_kept_until_they_are_dropped_by_hand(students: Place) -> None:
    students.query(INSERT, ["a"])
    students.query("UPDATE students SET name = 'b'")
    students.evolve(lambda apps: define(apps, base=PGCraftSimple))
    students.query("UPDATE students SET name = 'c'")
    assert versions(students) == [(1, 1, "a", "update")]
    with pytest.raises(IntegrityError, match="never changed or removed"):
        students.query("DELETE FROM students_history")
    last = students.world.order[-1]
    by_hand = Migration("9000_by_hand", "shop")
    by_hand.operations = [DeleteModel("StudentHistory")]
    by_hand.dependencies = [("shop", last.name)]
    students.world.graph.add_node(("shop", by_hand.name), by_hand)
    students.world.graph.add_dependency(by_hand, ("shop", by_hand.name), ("shop", last.name))
    students.world.order.append(by_hand)
    students.site.migrate([by_hand])
    students.evolve(lambda apps: define(apps, base=PGCraftSimple))
    assert students.query("SELECT to_regclass('private.students_history')") == [(None,)]
    assert students.query("SELECT count(*) FROM pg_proc WHERE proname = 'pgcraft_guard'") == [(0,)]
