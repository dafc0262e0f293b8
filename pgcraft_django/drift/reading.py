"""A catalog in words that two databases can be compared by: one `.sql` file a kind of thing in `catalog/`.

Each file selects name, state, the SQL that makes a thing so, and the SQL that takes it away; NULL where no statement
could. Where there are several kinds in a file, the kind comes before the name. What they look at is the same for all
of them (`looked_at.sql`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

FOLDER = Path(__file__).with_name("catalog")
LOOKED_AT = Path(__file__).with_name("looked_at.sql")


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
        parameters: dict[str, Any] = {"schemas": list(schemas), "tables": list(tables)}
        cursor.execute(LOOKED_AT.read_text(encoding="utf-8"), parameters)
        [(relations, functions)] = cursor.fetchall()
        parameters |= {"relations": relations, "functions": functions}
        for path in sorted(FOLDER.glob("*.sql")):
            cursor.execute(path.read_text(encoding="utf-8"), parameters)
            for *kind, name, state, make, unmake in cursor.fetchall():
                found[" ".join(kind) or path.stem.replace("_", " "), name] = Thing(state, make, unmake)
    return found
