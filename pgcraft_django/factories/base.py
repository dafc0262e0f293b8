"""What all factories share: the base class, and defaults that the database knows too."""

import enum
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.fields import NOT_PROVIDED
from django.db.models.signals import class_prepared


class PGCraftModel(models.Model):
    """Abstract base of every factory."""

    class Meta:
        abstract = True


def constant_default(field: models.Field) -> Any:
    """Return the value of the field's `default=` if it is the same for every row, else `NOT_PROVIDED`."""
    default = field.default
    if default is dict and isinstance(field, models.JSONField):
        return {}
    if default is list and isinstance(field, models.JSONField | ArrayField):
        return []
    if callable(default) and not isinstance(default, enum.Enum):
        return NOT_PROVIDED
    return default.value if isinstance(default, enum.Enum) else default


def share_defaults(sender: type[models.Model], **kwargs: Any) -> None:
    """Give each column of a factory model whose `default=` is a constant an equal `db_default`.

    Django sets `default=` in Python only, so that an insert through the API would not see it. In Python,
    `default=` keeps precedence.
    """
    if not issubclass(sender, PGCraftModel):
        return
    for field in sender._meta.local_concrete_fields:
        if not field.has_db_default() and not field.generated and not field.primary_key:
            field.db_default = constant_default(field)


class_prepared.connect(share_defaults, dispatch_uid="pgcraft_django.share_defaults")
