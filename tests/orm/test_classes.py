"""Django's own test classes: what they put back, and how."""

from django.core.management import call_command
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase

from tests.school.models import Course, Grade, Report, Student, User


class InATransaction(TestCase):
    """`TestCase` rolls back, and shares what `setUpTestData` makes."""

    @classmethod
    def setUpTestData(cls) -> None:
        cls.user = User.objects.create(name="Alice")

    def test_one(self) -> None:
        self.user.name = "Changed"
        self.user.save()
        Student.objects.create(name="Ann", user=self.user)
        assert User.objects.get().name == "Changed"

    def test_two(self) -> None:
        assert User.objects.get().name == "Alice"
        assert not Student.objects.exists()

    def test_hooks_run_on_commit(self) -> None:
        seen = []
        with self.captureOnCommitCallbacks(execute=True):
            transaction.on_commit(lambda: seen.append(User.objects.count()))
        assert seen == [1]


class Flushing(TransactionTestCase):
    """`TransactionTestCase` commits, and empties every table after each test, in whatever schema it is."""

    fixtures = ["school"]
    reset_sequences = True

    def check(self) -> None:
        assert User.objects.get().name == "Fixed"
        assert Report.objects.get().author.name == "Fixed"
        with transaction.atomic():
            assert Course.objects.create(code="new", title="x").pk == "new"
        assert Student.objects.create(name="Ann").pk == 1

    def test_one(self) -> None:
        self.check()

    def test_two(self) -> None:
        self.check()


class Emptying(TransactionTestCase):
    """The command `flush` empties the tables, and leaves views and grants."""

    def test_flush(self) -> None:
        Grade.objects.create(student=Student.objects.create(name="Ann"), value=1)
        call_command("flush", interactive=False, verbosity=0)
        assert not Student.objects.exists()
        assert not Grade.objects.exists()
        with connection.cursor() as cursor:
            cursor.execute("SELECT has_table_privilege('anon', 'api.students', 'select')")
            assert cursor.fetchone() == (True,)
