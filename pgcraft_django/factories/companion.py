"""Companion models: tables that a factory or plugin adds, as Django models in the user's app.

They are made when the model's class is, so that `makemigrations` follows them as it follows any model.
"""

import copy
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage
from django.db import models
from django.db.models.fields.proxy import OrderWrt
from django.utils.text import format_lazy

from pgcraft_django.factories.base import PGCraftModel
from pgcraft_django.factories.fixtures import LoadedModel
from pgcraft_django.messages import error, renamed
from pgcraft_django.plugins.base import option

_INTEGERS: dict[type["models.Field[Any, Any]"], type["models.Field[Any, Any]"]] = {
    models.AutoField: models.IntegerField,
    models.BigAutoField: models.BigIntegerField,
    models.SmallAutoField: models.SmallIntegerField,
    OrderWrt: models.IntegerField,  # Django leaves it out of migrations: it comes and goes with `order_with_respect_to`
}
# What belongs to the original alone: its rules, its defaults, and the ways back to it.
_LEFT_OUT = {
    *("primary_key", "unique", "unique_for_date", "unique_for_month", "unique_for_year"),
    *("default", "db_default", "auto_now", "auto_now_add", "serialize", "db_index", "db_tablespace"),
}


def plain_copy(field: "models.Field[Any, Any]", **options: Any) -> "models.Field[Any, Any]":
    """Return a field that holds every value that `field` may have held: nullable, with no rule and no default.

    A foreign key stays one for the ORM, but the database no longer insists on the row that it points to.
    """
    copied = _plain_copy(field, **options)
    copied.pgcraft_copied = field.name  # type: ignore[attr-defined]
    return copied


def without_reference(field: Any) -> "models.Field[Any, Any]":
    """Return a field for the column of a foreign key that refers to nothing any more."""
    target = field.target_field
    while target.is_relation:
        target = target.target_field
    value: Any = _plain_copy(target)
    value.null, value._unique, value.db_index = field.null, field.unique, field.db_index
    value.db_column, value.db_comment = field.column, field.db_comment
    value.auto_created, value._verbose_name = False, field._verbose_name
    return value  # type: ignore[no-any-return]


def like_inherited(field: "models.Field[Any, Any]") -> "models.Field[Any, Any]":
    """Return the same field for another model, behind those that were made before.

    As Django does with fields of an abstract model: `clone()` asks for models that may not be there yet.
    """
    copied = copy.deepcopy(field)
    copied.creation_counter = models.Field.creation_counter
    models.Field.creation_counter += 1
    return copied


def copied_names(model: type[models.Model]) -> dict[str, "models.Field[Any, Any]"]:
    """Return name in the original -> field of a companion model that is a copy of it."""
    fields = model._meta.local_concrete_fields
    return {field.pgcraft_copied: field for field in fields if hasattr(field, "pgcraft_copied")}


def _plain_copy(field: "models.Field[Any, Any]", **options: Any) -> "models.Field[Any, Any]":
    if isinstance(field, models.GeneratedField):
        return _plain_copy(_named(field.output_field, field), **options)  # type: ignore[arg-type]
    if isinstance(field, models.ForeignKey):
        return _copy_of_reference(field, **options)
    _, _, arguments, keywords = field.deconstruct()
    keywords = {name: value for name, value in keywords.items() if name not in _LEFT_OUT}
    keywords |= {"null": True, "blank": True, "editable": False}
    kind: Any = next((plain for auto, plain in _INTEGERS.items() if type(field) is auto), type(field))
    copied = kind(*arguments, **keywords, **options)
    copied.db_index = False  # a SlugField has an index unless it says otherwise
    return copied  # type: ignore[no-any-return]


def _copy_of_reference(field: "models.ForeignKey[Any, Any]", **options: Any) -> "models.Field[Any, Any]":
    # deconstruct() asks for models that may not be there yet.
    target: Any = field.remote_field.model
    to_field = field.to_fields[0]
    return models.ForeignKey(
        field.model._meta.label if target == "self" else target,
        on_delete=models.DO_NOTHING,
        to_field=None if to_field == "self" else to_field,
        related_name="+",
        verbose_name=field._verbose_name,  # type: ignore[attr-defined]
        help_text=field.help_text,
        db_column=field.db_column,
        db_comment=field.db_comment,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        editable=False,
        **options,
    )


def _named(output: "models.Field[Any, Any]", field: "models.Field[Any, Any]") -> "models.Field[Any, Any]":
    copied = output.clone()
    copied.set_attributes_from_name(field.name)
    copied.db_column = field.db_column
    copied.model = field.model
    return copied


def titles(model: type[models.Model], one: str, many: str) -> dict[str, Any]:
    """Return what `class Meta` of a companion says of its name: texts in which `{name}` and `{names}` are the model's.

    They are put together when somebody reads them, in their language, and in that of the source for migrations.
    """
    names = {"name": model._meta.verbose_name, "names": model._meta.verbose_name_plural}
    return {"verbose_name": format_lazy(one, **names), "verbose_name_plural": format_lazy(many, **names)}


class Derived(LoadedModel):
    """Abstract base: the database writes the rows of this companion. A fixture that has them too is no news."""

    class Meta:
        abstract = True

    def pgcraft_load(self, using: str, save: Callable[[], bool]) -> bool:
        return True


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
    inner: dict[str, Any] = {"api": api}
    if schema := option(model, "schema"):
        inner["schema"] = schema
    defaults = {
        "app_label": options.app_label,
        "apps": options.apps,
        "db_table": f"{options.db_table}_{suffix.lower()}",
    }
    for item in (*(meta or {}).get("constraints", ()), *(meta or {}).get("indexes", ())):
        item.name = item.name.replace("%", "%%")  # Django fills in `%(class)s`
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


def add_history(model: Any, history: object) -> None:
    """Let `model.history` be `history`, unless something else of the model has this name: see `check_history()`."""
    if inspect.getattr_static(model, "history", None) is None:
        model.history = history


def check_history(model: type[models.Model], kind: type, number: str) -> Iterator[CheckMessage]:
    """Find what else is called `history`: a field, a manager, a `related_name`, or what another package adds."""
    if not isinstance(inspect.getattr_static(model, "history", None), kind):
        name = renamed("history", model)
        yield error(
            number,
            "Something else of the model is called 'history', which is the name of what its rows were before.",
            hint=f'Write {name} = …, or related_name="{name}" if it is a reference to the model',
            obj=model,
        )
