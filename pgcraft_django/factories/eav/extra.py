"""Attributes that end users define at run time: a table of definitions, and the values in one attribute, `extra`."""

from collections.abc import Iterator
from typing import ClassVar

from django.db import models

from pgcraft_django.bodies import read_body
from pgcraft_django.factories.base import Factory, PGCraftModel
from pgcraft_django.factories.companion import make_companion, titles
from pgcraft_django.factories.eav.document import ENTITY, EXTRA, place
from pgcraft_django.factories.eav.objects import Parts, same
from pgcraft_django.factories.guard import RESTORING, guard_truncate
from pgcraft_django.naming import quote_name, quote_text, shorten
from pgcraft_django.objects import DatabaseObject, Function, Trigger

DEFINITIONS = "_extra"
"""What the name of the table of definitions ends with."""
TYPES = ("text", "integer", "number", "boolean", "date", "datetime")


class DefinitionFactory(Factory):
    """A definition belongs to all rows, so policies on rows say nothing of it."""

    is_protected = False


class DefinitionModel(PGCraftModel):
    """Abstract base of definitions: the name of an attribute, and the type of its values."""

    pgcraft_factory: ClassVar[Factory] = DefinitionFactory()

    name = models.TextField(primary_key=True)
    type = models.TextField(choices=[(name, name) for name in TYPES])

    class Meta(PGCraftModel.Meta):
        abstract = True

    def __str__(self) -> str:
        return self.name


def add_extra(model: type[models.Model], api: object) -> None:
    """Add the attribute, and the model of the definitions."""
    model.add_to_class(EXTRA, models.JSONField(default=dict, blank=True))
    meta = {
        "constraints": [
            models.CheckConstraint(
                condition=models.Q(type__in=TYPES), name=shorten(f"{model._meta.db_table}{DEFINITIONS}_type")
            )
        ],
        **titles(model, "definition for {names}", "definitions for {names}"),
    }
    definitions = make_companion(model, "Extra", {}, meta=meta, api=api, base=DefinitionModel)
    model.pgcraft_extra = definitions  # type: ignore[attr-defined]


def extra_objects(parts: Parts) -> Iterator[DatabaseObject]:
    """Yield what keeps values and definitions together."""
    field = parts.model._meta.get_field(EXTRA)
    table = f"{parts.name}{DEFINITIONS}"
    names = {
        "entity": parts.entity,
        "definitions": quote_name(parts.schema, table),
        "shown_definitions": quote_text(table),
        "schema": quote_text(parts.schema),
        "table": quote_text(parts.name),
        "restoring": RESTORING,
    }
    old, new = place(field, "OLD"), place(field, "NEW")  # type: ignore[arg-type]
    checked = read_body(__file__, "extra", **names, extra=new, is_same=same(field, old, new))  # type: ignore[arg-type]
    kept = read_body(__file__, "defined", **names, extra=place(field, "entity"))  # type: ignore[arg-type]
    for name, body, of, event in (
        ("extra", checked, f"{parts.name}{ENTITY}", "BEFORE INSERT OR UPDATE"),
        ("defined", kept, table, "BEFORE UPDATE OR DELETE"),
    ):
        function = Function(
            schema=parts.schema,
            name=shorten(f"{parts.name}_{name}_check"),
            returns="trigger",
            language="plpgsql",
            security_definer=True,
            body=body,
            reads=parts.reads,
        )
        yield function
        yield Trigger(
            schema=parts.schema,
            table=of,
            name=f"pgcraft_{name}",
            event=event,
            function=(function.schema, function.name),
        )
    yield from guard_truncate(parts.schema, table)
