"""What every plugin is: four hooks, each of which may do nothing."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.checks import CheckMessage
from django.db import models

if TYPE_CHECKING:  # every start-up with models comes here
    from pgcraft_django.objects import DatabaseObject


class ColumnGrant(NamedTuple):
    """What a role may do with a column: `select`, `insert` or `update`."""

    role: str
    privilege: str
    column: str


class Plugin:
    """Adds fields, constraints, companion models or database objects to one model."""

    def prepare(self, model: type[models.Model]) -> None:
        """Add to `model`, whose own fields are all there: Django's migrations then find what was added."""

    def objects(self, model: type[models.Model], schema: str) -> "Iterable[DatabaseObject]":
        """Return the objects beside the model's table, which is in `schema`. Asked for once all models are known."""
        return ()

    def column_grants(self, model: type[models.Model]) -> Iterable[ColumnGrant]:
        """Return what roles need on the model's own table, beside what its APIs give them."""
        return ()

    def check(self, model: type[models.Model]) -> Iterable[CheckMessage]:
        """Return what is wrong with the model's declaration."""
        return ()


def option(model: type[models.Model], name: str, default: Any = None) -> Any:
    """Return what the model's `class PGCraft` says.

    It is inherited as Python inherits attributes, just like `Meta`: a model without one has that of its abstract
    parent, and a model with one extends it by naming it as a base (`class PGCraft(Parent.PGCraft)`).
    """
    return getattr(getattr(model, "PGCraft", None), name, default)


def get_plugins(model: type[models.Model]) -> Iterator[Plugin]:
    """Yield the plugins that the model declares; what is none is left to the system checks."""
    declared = option(model, "plugins", ())
    for plugin in declared if isinstance(declared, list | tuple) else ():
        if isinstance(plugin, Plugin):
            yield plugin
