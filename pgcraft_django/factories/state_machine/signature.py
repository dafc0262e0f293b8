"""What the function takes that makes a transition: the ORM calls it, the API has one in front of it.

Who runs older code while the log gets a field goes on: the extra fields come last, may be left out, and the ORM gives
them by name.
"""

from collections.abc import Iterable
from typing import Any

from django.db import models

from pgcraft_django.columns import AnyField, column_name, postgresql
from pgcraft_django.factories.state_machine.machine import Machine, extra_fields
from pgcraft_django.naming import quote_name, shorten


class Signature:
    """The function's name and its arguments: the key, `to`, `from`, `reason`, the role that asks, the extra fields."""

    def __init__(self, machine: Machine) -> None:
        model = machine.model
        self.log_model: type[models.Model] = model.pgcraft_log  # type: ignore[attr-defined]
        self.name = shorten(f"{model._meta.db_table}_transition")
        self.key_fields: list[AnyField] = list(model._meta.pk_fields)
        self.extra_fields: list[AnyField] = [self._of_log(name) for name in extra_fields(model)]
        copies = [self._of_log(field.name) for field in self.key_fields]  # whose types count nothing up
        texts = [(name, "text") for name in ("to", "from", "reason")]
        self.arguments = [*map(_typed, copies), *texts]
        self.extras = list(map(_typed, self.extra_fields))

    def _of_log(self, name: str) -> Any:
        return self.log_model._meta.get_field(name)

    @property
    def keys(self) -> list[str]:
        """Return the columns of the key."""
        return [column_name(field) for field in self.key_fields]

    def position(self, name: str) -> str:
        """Return how the function's body writes an argument that has to be given."""
        return f"${[name for name, _ in self.arguments].index(name) + 1}"

    @property
    def caller(self) -> str:
        """Return how the function's body writes the role that asks, or NULL for Django."""
        return f"${len(self.arguments) + 1}"

    def extra_positions(self, *, after: int) -> list[str]:
        """Return how a body writes the extra fields, `after` so many other arguments."""
        return [f"${after + number}" for number, _ in enumerate(self.extras, 1)]


def declaration(arguments: Iterable[tuple[str, str]]) -> list[str]:
    """Return each argument with its type."""
    return [f"{quote_name(name)} {kind}" for name, kind in arguments]


def _typed(field: AnyField) -> tuple[str, str]:
    return column_name(field), str(field.db_type(postgresql()))
