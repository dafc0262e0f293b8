"""Companion models: tables that a factory or plugin adds, as Django models in the user's app.

They are made when the model's class is, so that `makemigrations` follows them as it follows any model.
"""

import sys
from collections.abc import Mapping
from typing import Any

from django.db import models

from pgcraft_django.factories.base import PGCraftModel

_INTEGERS: dict[type["models.Field[Any, Any]"], type["models.Field[Any, Any]"]] = {
    models.AutoField: models.IntegerField,
    models.BigAutoField: models.BigIntegerField,
    models.SmallAutoField: models.SmallIntegerField,
}
# What belongs to the original alone: its rules, its defaults, and the ways back to it.
_LEFT_OUT = {
    *("primary_key", "unique", "unique_for_date", "unique_for_month", "unique_for_year"),
    *("default", "db_default", "auto_now", "auto_now_add", "serialize"),
    *("db_index", "db_tablespace", "parent_link", "related_name", "related_query_name", "limit_choices_to"),
}


def plain_copy(field: "models.Field[Any, Any]", **options: Any) -> "models.Field[Any, Any]":
    """Return a field that holds every value that `field` may have held: nullable, with no rule and no default.

    A foreign key stays one for the ORM, but the database no longer insists on the row that it points to.
    """
    if isinstance(field, models.GeneratedField):
        return plain_copy(_named(field.output_field, field), **options)  # type: ignore[arg-type]
    _, _, arguments, keywords = field.deconstruct()
    keywords = {name: value for name, value in keywords.items() if name not in _LEFT_OUT}
    keywords |= {"null": True, "blank": True, "editable": False, "db_column": field.column}
    kind: Any = type(field)
    if isinstance(field, models.ForeignKey):
        kind = models.ForeignKey
        if keywords["to"] == "self":
            keywords["to"] = field.model._meta.label
        keywords |= {
            "on_delete": models.DO_NOTHING,
            "related_name": "+",
            "db_constraint": False,
            "db_index": False,
        }
    else:
        kind = next((plain for auto, plain in _INTEGERS.items() if kind is auto), kind)
    copy: models.Field[Any, Any] = kind(*arguments, **keywords, **options)
    return copy


def _named(output: "models.Field[Any, Any]", field: "models.Field[Any, Any]") -> "models.Field[Any, Any]":
    copy = output.clone()
    copy.set_attributes_from_name(field.name)
    copy.column = field.column
    copy.model = field.model
    return copy


def make_companion(
    model: type[models.Model],
    suffix: str,
    fields: Mapping[str, Any],
    *,
    meta: Mapping[str, Any] | None = None,
    api: object = None,
    base: type[models.Model] = PGCraftModel,
) -> type[models.Model]:
    """Make the model `<Model><Suffix>` with the table `<table>_<suffix>`, in the app and the module of `model`.

    `fields` are its attributes, `meta` what its `class Meta` says beside that, `api` what its `class PGCraft` does:
    by default it is not exposed. Its table is in the schema of that of `model`.
    """
    options = model._meta
    name = f"{model.__name__}{suffix}"
    declared = getattr(model, "PGCraft", None)
    inner: dict[str, Any] = {"api": api}
    if schema := getattr(declared, "schema", None):
        inner["schema"] = schema
    defaults = {
        "app_label": options.app_label,
        "apps": options.apps,
        "db_table": f"{options.db_table}_{suffix.lower()}",
    }
    companion = type(
        name,
        (base,),
        {
            "__module__": model.__module__,
            "__qualname__": name,
            "Meta": type("Meta", (), {**defaults, **(meta or {})}),
            "PGCraft": type("PGCraft", (), inner),
            "pgcraft_owner": model,
            **fields,
        },
    )
    setattr(sys.modules[model.__module__], name, companion)
    return companion
