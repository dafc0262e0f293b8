"""The rows that every test of the API begins with."""

from tests.support.served import Served

CHESS = "00000000-0000-4000-8000-000000000001"
DRAMA = "00000000-0000-4000-8000-000000000002"
FIRST_NEW_ID = 1001

# Django's foreign keys are checked when the transaction ends, so that order does not matter.
EMPTY = """
    DELETE FROM private.users; DELETE FROM private.profiles; DELETE FROM private.lockers;
    DELETE FROM private.courses; DELETE FROM private.clubs; DELETE FROM private.students;
    DELETE FROM private.memberships; DELETE FROM private.students_courses; DELETE FROM private.students_friends;
    DELETE FROM private.students_admires; DELETE FROM private.teachers; DELETE FROM private.teachers_teaches;
    DELETE FROM private.teachers_assists; DELETE FROM private.seats; DELETE FROM private.lunches;
    DELETE FROM private.presets; DELETE FROM private.samples; DELETE FROM private.tickets; DELETE FROM private.coins;
    DELETE FROM private."Größe & Order"; DELETE FROM private.notices; DELETE FROM private.complaints;
    DELETE FROM private.holidays; DELETE FROM private.closed; DELETE FROM private.grades;
    DELETE FROM archive.reports; DELETE FROM public.auth_group;
"""
FILL = f"""
    INSERT INTO private.users (id, name, email, password_hint) VALUES
        (1, 'Alice', 'alice@school.example', 'blue'),
        (2, 'Bob', 'bob@school.example', 'red'),
        (3, 'Zoë "Z" O''Neil, (jr) 100%', NULL, '');
    INSERT INTO private.profiles (id, user_id, motto) VALUES (1, 1, 'Onwards');
    INSERT INTO private.lockers (id, owner_email, number) VALUES (1, 'alice@school.example', 7);
    INSERT INTO private.courses (code, title) VALUES ('math', 'Mathematics'), ('art', 'Art'), ('größe', 'Sizes');
    INSERT INTO private.students (id, name, user_id, mentor_id, club_id) VALUES
        (1, 'Ann', 1, NULL, '{CHESS}'), (2, 'Ben', 1, 1, NULL), (3, 'Cy', NULL, 1, NULL), (4, 'Di', 2, 2, NULL);
    INSERT INTO private.students_courses (student_id, course_id) VALUES (1, 'math'), (1, 'art'), (2, 'math');
    INSERT INTO private.students_friends (from_student_id, to_student_id) VALUES (1, 2), (2, 1);
    INSERT INTO private.students_admires (from_student_id, to_student_id) VALUES (3, 1), (3, 2);
    INSERT INTO private.clubs (id, name) VALUES ('{CHESS}', 'Chess'), ('{DRAMA}', 'Drama');
    INSERT INTO private.memberships (student_id, club_id, role, since) VALUES
        (1, '{CHESS}', 'president', '2024-02-29'), (2, '{CHESS}', 'member', '2024-03-01'),
        (1, '{DRAMA}', 'member', '2024-03-02');
    INSERT INTO private.teachers (id, name) VALUES (1, 'Turing'), (2, 'Lovelace');
    INSERT INTO private.teachers_teaches (teacher_id, course_id) VALUES (1, 'math'), (2, 'art');
    INSERT INTO private.teachers_assists (teacher_id, course_id) VALUES (1, 'art');
    INSERT INTO private.seats (room, number, taken_by) VALUES ('A', 1, NULL), ('A', 2, 'Ann');
    INSERT INTO private.lunches (id, price, amount, dish) VALUES (1, 2.50, 2, 'soup');
    INSERT INTO private."Größe & Order" (id, "order", "Mixed Case", "größe", "a.b,c(d)", "Select") VALUES
        (1, 10, 'one', 'XS', 'dot', NULL), (2, 20, NULL, 'XL', NULL, 1);
    INSERT INTO private.notices (id, text) VALUES (1, 'No running');
    INSERT INTO private.complaints (id, text) VALUES (1, 'Too much running');
    INSERT INTO private.holidays (id, name) VALUES (1, 'Summer');
    INSERT INTO private.closed (id, text) VALUES (1, 'Nobody reads this');
    INSERT INTO private.grades (id, student_id, value) VALUES (1, 1, 5);
    INSERT INTO archive.reports (id, title, author_id) VALUES (1, 'Annual', 1);
    INSERT INTO public.auth_group (id, name) VALUES (1, 'staff');
"""


def prepare(served: Served) -> None:
    """Let the database count from `FIRST_NEW_ID` on, past the rows that come with a key."""
    served.execute("SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1000) FROM pg_sequences")


def reset(served: Served) -> None:
    """Put back the first rows, and nothing else."""
    served.execute(EMPTY + FILL)
