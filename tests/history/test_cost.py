"""What a session planned for a few rows holds for many."""

import time

from django.db import connections, models
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from tests.history.conftest import Place, define
from tests.support.databases import administrator

ROWS = 3000


def fill(place: Place) -> None:
    place.query(
        "INSERT INTO students (name, data, marks) SELECT i::text, '{}', '{}' FROM generate_series(1, %s) AS i", [ROWS]
    )


def test_thousands_of_rows_cost_the_same_in_a_session_that_has_changed_one(students: Place) -> None:
    fill(students)
    [[database]] = students.query("SELECT current_database()")
    took = []
    for first in ("SELECT", "UPDATE private.students SET name = 'x' WHERE id = 1"):
        with administrator(database) as session:
            session.execute(first)
            began = time.perf_counter()
            session.execute("UPDATE private.students SET name = name || '?'")
            took.append(time.perf_counter() - began)
    assert took[1] < 5 * took[0]


def test_a_table_that_was_small_is_not_read_again_for_each_new_row(students: Place) -> None:
    students.query("INSERT INTO students (name, data, marks) VALUES ('a', '{}', '{}')")
    students.query("UPDATE students SET name = 'b'")
    students.query("VACUUM (ANALYZE) students, students_history")
    students.query("BEGIN")
    fill(students)
    read = students.query("SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname LIKE 'students%%'")
    students.query("COMMIT")
    assert read[0][0] < ROWS


def test_a_new_row_reads_no_history_of_others_whatever_join_is_preferred(students: Place) -> None:
    fill(students)
    students.query("UPDATE students SET name = name || '?'")
    students.query("SELECT pg_stat_force_next_flush()")
    students.query("DISCARD PLANS")
    students.query("BEGIN; SET LOCAL enable_nestloop = off")  # as where many versions of each key are expected
    students.query("INSERT INTO students (name, data, marks) VALUES ('a', '{}', '{}')")
    read = students.query(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'students_history'"
    )
    students.query("ROLLBACK")
    assert read[0][0] < 10


def test_bulk_create_sends_nothing_for_columns_that_the_database_fills(place: Place) -> None:
    place.evolve(
        lambda apps: define(apps, born=models.DateTimeField(db_default=Now()), age=models.IntegerField(db_default=7))
    )
    model = place.model("Student")
    with CaptureQueriesContext(connections[place.site.alias]) as queries:
        ada, bob = place.rows().bulk_create([model(name="ada"), model(name="bob")])
        cid, dan = place.rows().bulk_create([model(name="cid", age=3), model(name="dan")])
    sent = [query["sql"].partition("RETURNING")[0] for query in queries if query["sql"].startswith("INSERT")]
    assert [[name in sql for name in ("valid_from", "born", "age")] for sql in sent] == [
        [False, False, False],
        [False, False, True],
    ]
    assert [row.age for row in (ada, bob, cid, dan)] == [7, 7, 3, 7]
    assert ada.born is not None


def test_the_orm_sends_no_stamps_that_do_not_count(students: Place) -> None:
    model = students.model("Student")
    with CaptureQueriesContext(connections[students.site.alias]) as queries:
        student = students.rows().create(name="a")
        students.rows().bulk_create([model(name="b"), model(name="c")])
        student.name = "d"
        student.save()
        student.refresh_from_db()
        copies = [students.rows().get(pk=student.pk) for _ in range(2)]
        for copy in copies:
            copy.pk = None
        copies[0].save()
        students.rows().bulk_create(copies[1:])
    sent = [query["sql"].partition("RETURNING")[0] for query in queries]
    stamped = ["valid_from" in sql for sql in sent if sql.startswith(("INSERT", "UPDATE"))]
    assert stamped == [False] * 5
    assert [row.version for row in (student, *copies)] == [2, 1, 1]
    assert students.rows().as_of(student.valid_from).filter(pk__gt=student.pk + 2).count() == 0  # no copy yet
