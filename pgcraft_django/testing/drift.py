"""Tests of drift: a migration with SQL of its own may leave the database otherwise than all migrations together say."""

from django.db import DEFAULT_DB_ALIAS, connections

from pgcraft_django.drift.detecting import find_drift
from pgcraft_django.drift.roles import KINDS as OF_ROLES


def assert_no_drift(*, using: str = DEFAULT_DB_ALIAS) -> None:
    """Fail with each difference between the database `using` and what its migrations make in a database of their own.

    Roles are left out: they belong to the server, and the one of the tests need not have all of them.

    Raises `RuntimeError` inside a transaction, which would end when the connection leads to the other database, and
    `ServerError` if this database user may not create databases.
    """
    connection = connections[using]
    if connection.in_atomic_block:
        raise RuntimeError(
            "assert_no_drift() cannot run inside a transaction. Use TransactionTestCase instead of TestCase, or mark "
            "the test with @pytest.mark.django_db(transaction=True)."
        )
    found = [item for item in find_drift(connection) if item.kind not in OF_ROLES]
    if found:  # no `assert`, which `python -O` leaves out
        lines = ["The database differs from its migrations:", *(item.describe() for item in found)]
        raise AssertionError("\n".join(lines))
