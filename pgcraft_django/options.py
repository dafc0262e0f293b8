"""The inner `class PGCraft` of a model, typed.

It is inherited as Python inherits attributes, just like `Meta`: a model without one has its abstract parent's; a
model with one extends it by naming it as a base (`class PGCraft(Parent.PGCraft)`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models

from pgcraft_django.api import API
from pgcraft_django.conf import get_config

OPTIONS = frozenset({"schema", "api", "plugins"})


@dataclass(frozen=True)
class PGCraftOptions:
    """What a model declares: the schema of its table, its APIs and its plugins."""

    schema: str
    apis: tuple[API, ...]
    plugins: tuple[Any, ...]


def declared_names(model: type[models.Model]) -> set[str]:
    """Return the public names in the model's `PGCraft` class, inherited ones included."""
    return {name for name in dir(getattr(model, "PGCraft", None)) if not name.startswith("_")}


def get_options(model: type[models.Model]) -> PGCraftOptions:
    """Return the model's options; wrong ones are left to the system checks."""
    declared = getattr(model, "PGCraft", None)
    return PGCraftOptions(
        schema=getattr(declared, "schema", None) or get_config().table_schema,
        apis=as_apis(getattr(declared, "api", API())),
        plugins=tuple(getattr(declared, "plugins", ())),
    )


def as_apis(declared: API | Sequence[API] | None) -> tuple[API, ...]:
    """Return one API, a list of them, or None as a tuple."""
    if declared is None:
        return ()
    return (declared,) if isinstance(declared, API) else tuple(declared)
