"""What PostgreSQL makes of its own words.

It does not always read an expression as it has printed it: `IN` over a varchar gets other casts. So a database that was
restored from a dump has them, and they mean the same.
"""

from collections.abc import Sequence
from contextlib import suppress

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from pgcraft_django.drift.reading import Catalog, read_catalog

KINDS = ("constraint", "function", "view", "index", "view column default", "rule", "trigger", "policy")
"""What has expressions, and can be made in the place of one of the same name."""


def as_read_again(
    connection: BaseDatabaseWrapper, expected: Catalog, found: Catalog, schemas: Sequence[str], tables: Sequence[str]
) -> Catalog:
    """Return `expected`, which is what `connection` leads to, with what is printed as in `found` once it is read again.

    The database is changed to see that, and changed back.
    """
    using = connection.alias
    differing = [
        key
        for key in expected.keys() & found.keys()
        if key[0] in KINDS and expected[key].state != found[key].state and expected[key].make
    ]
    if not differing:
        return expected
    with transaction.atomic(using=using):
        for key in differing:
            with suppress(DatabaseError), transaction.atomic(using=using), connection.cursor() as cursor:
                cursor.execute(str(expected[key].make))
        again = read_catalog(connection, schemas, tables)
        transaction.set_rollback(True, using=using)
    return expected | {key: found[key] for key in differing if key in again and again[key].state == found[key].state}
