"""The inner `class PGCraft` of a model, typed.

It is inherited as Python inherits attributes, just like `Meta`: a model without one has its abstract parent's; a
model with one extends it by naming it as a base (`class PGCraft(Parent.PGCraft)`).
"""

from dataclasses import dataclass

from django.db import models

from pgcraft_django.api import API
from pgcraft_django.conf import get_config
from pgcraft_django.naming import plain_text


@dataclass(frozen=True)
class PGCraftOptions:
    """What a model of any factory declares: the schema of its table and its APIs."""

    schema: str
    api: object
    """As it was written: see `api.as_apis`."""


def declared_names(model: type[models.Model]) -> set[str]:
    """Return the public names in the model's `PGCraft` class, inherited ones included."""
    return {name for name in dir(getattr(model, "PGCraft", None)) if not name.startswith("_")}


def get_options(model: type[models.Model]) -> PGCraftOptions:
    """Return the model's options; wrong ones are left to the system checks."""
    declared = getattr(model, "PGCraft", None)
    schema = getattr(declared, "schema", None)
    return PGCraftOptions(
        schema=plain_text(schema if schema and isinstance(schema, str) else get_config().table_schema),
        api=getattr(declared, "api", API()),
    )
