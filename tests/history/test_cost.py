"""What a session planned for a few rows holds for many."""

import time

from tests.history.conftest import Place
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
