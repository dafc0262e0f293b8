"""A catalog in words that two databases can be compared by: one `.sql` file a kind of thing in `catalog/`.

Each file selects name, state, the SQL that makes a thing so, and the SQL that takes it away; NULL where no statement
could.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

FOLDER = Path(__file__).with_name("catalog")


class Thing(NamedTuple):
    """Something in a database, as it is there."""

    state: str
    make: str | None
    unmake: str | None


Catalog = dict[tuple[str, str], Thing]
"""Kind and name -> thing."""


def read_catalog(connection: BaseDatabaseWrapper, schemas: Sequence[str], tables: Sequence[str]) -> Catalog:
    """Return what is in `schemas`, and what belongs to `tables`, named with their schemas."""
    found: Catalog = {}
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        # Then every other name is written with its schema.
        cursor.execute("SELECT pg_catalog.set_config('search_path', 'pg_catalog', true)")
        for path in sorted(FOLDER.glob("*.sql")):
            cursor.execute(path.read_text(encoding="utf-8"), {"schemas": list(schemas), "tables": list(tables)})
            for name, *thing in cursor.fetchall():
                found[path.stem.replace("_", " "), name] = Thing(*thing)
    return found
