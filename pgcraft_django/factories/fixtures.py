"""Fixtures: rows that `dumpdata` wrote come back as they were, as those of a dump do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, models, transaction

from pgcraft_django.factories.base import lookups
from pgcraft_django.naming import quote_name

DUMP_SETTINGS = ("row_security", "check_function_bodies")
"""What every dump switches off: then triggers leave rows as they are, see `guard`."""


class LoadedModel(models.Model):
    """Abstract base of models whose rows `loaddata` may not write as it does others: it tries an UPDATE first."""

    class Meta:
        abstract = True

    def pgcraft_load(self, using: str, save: Callable[[], bool]) -> bool:
        """Save a row of a fixture, and tell whether it was there already.

        By default, a row that is there already is left alone: such rows never change, and an UPDATE would be refused.
        """
        return is_there(self, using) or save()

    # Django calls its own `save_base()` for a row of a fixture. This is the first method that it takes from the model.
    def _save_table(
        self,
        raw: bool = False,
        cls: Any = None,
        force_insert: bool = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Any = None,
    ) -> bool:
        arguments = raw, cls, force_insert, force_update, using, update_fields
        if raw and using:
            return self.pgcraft_load(using, lambda: super(LoadedModel, self)._save_table(*arguments))  # type: ignore[misc]
        return super()._save_table(*arguments)  # type: ignore[misc, no-any-return]


def is_there(row: models.Model, using: str) -> bool:
    """Tell whether the table has this very row already. Its times do not count: JSON cuts them to milliseconds."""
    fields = [field for field in row._meta.concrete_fields if not field.generated]
    said = {
        field.attname: getattr(row, field.attname) for field in fields if not isinstance(field, models.DateTimeField)
    }
    return type(row)._base_manager.using(using).filter(**lookups(said)).exists()


@contextmanager
def as_from_a_dump(using: str, model: type[models.Model], *settings: str) -> Iterator[None]:
    """Switch `settings` off in the block, as a dump does. Who may not make triggers on the table cannot do that."""
    with transaction.atomic(using=using, savepoint=False), connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT name, pg_catalog.current_setting(name), pg_catalog.set_config(name, 'off', true)"
            " FROM pg_catalog.unnest(%s::text[]) AS name WHERE pg_catalog.has_table_privilege(%s, 'TRIGGER')",
            [list(settings), quote_name(model._meta.db_table)],
        )
        before = cursor.fetchall()
        yield
        for name, value, _ in before:
            cursor.execute("SELECT pg_catalog.set_config(%s, %s, true)", [name, value])
