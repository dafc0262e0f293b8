"""What a model whose fields are attributes cannot have."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.core.exceptions import FieldError
from django.db import models
from django.db.models.expressions import RawSQL

from pgcraft_django.api import declared_api, is_api
from pgcraft_django.factories.base import get_factory
from pgcraft_django.factories.eav.document import DATA, is_column
from pgcraft_django.factories.eav.indexes import attribute_indexes
from pgcraft_django.factories.eav.sql import condition_sql
from pgcraft_django.factories.foreign_key import PGCraftForeignKey, refers_to_view
from pgcraft_django.messages import error, renamed, source
from pgcraft_django.objects.base import ObjectKey
from pgcraft_django.plugins.base import option

LOG_COLUMNS = {"log_id", "step", "former", "attribute", "old_value", "new_value", "at", "actor", "reason", "operation"}


def is_possible(model: type[models.Model]) -> bool:
    """Tell whether there can be tables behind the model; if not, the checks say why."""
    key: Any = model._meta.pk
    return (
        len(model._meta.pk_fields) == 1
        and not key.is_relation
        and not model._meta.parents
        and key.name not in LOG_COLUMNS
        and key.column not in (*LOG_COLUMNS, DATA)
        and not any(field.generated for field in model._meta.local_concrete_fields)
    )


def check_model(model: type[models.Model]) -> Iterator[CheckMessage]:
    """Return what is wrong with the model's fields, constraints and indexes."""
    yield from _key(model)
    for field in model._meta.local_concrete_fields:
        yield from _field(model, field)
    for field in model._meta.local_many_to_many:
        yield error(
            "E084",
            f"The field {field.name!r} is many-to-many, and its table cannot refer to a view.",
            hint=f"Write a model of the links, with a PGCraftForeignKey({model.__name__}, on_delete=models.CASCADE)",
            obj=model,
        )
    for item in (*model._meta.constraints, *model._meta.indexes):
        yield from _constraint(model, item)
    for name in ("attribute_api", "extra_api"):
        if not is_api(api := declared_api(model, name)):
            yield error(
                "E087",
                f"{name} in class PGCraft is of type {type(api).__name__}; it must be an API, a list of them, or None.",
                hint=f'Write {name} = API(grants={{"webuser": ["select"]}})',
                obj=model,
            )
    extra = option(model, "extra", False)
    if not isinstance(extra, bool):
        yield error(
            "E088",
            f"extra in class PGCraft is of type {type(extra).__name__}; it is True or False.",
            hint="Write extra = True in class PGCraft",
            obj=model,
        )


def _key(model: type[models.Model]) -> Iterator[CheckMessage]:
    key: Any = model._meta.pk
    if len(model._meta.pk_fields) > 1 or key.is_relation:
        yield error(
            "E082",
            "The key of an entity is one column, and no reference to another model.",
            hint="Write id = models.BigAutoField(primary_key=True), and a UniqueConstraint in class Meta",
            obj=model,
        )
    elif {key.name, key.column} & {*LOG_COLUMNS, DATA}:
        yield error(
            "E083",
            f"The key {key.name!r} has a name that the tables behind the model need for themselves.",
            hint=f'Write {renamed(key.name, model)} = …(db_column="{renamed(key.column, model)}")',
            obj=model,
        )


def _field(model: type[models.Model], field: Any) -> Iterator[CheckMessage]:
    if field.generated:
        yield error(
            "E085",
            f"The field {field.name!r} is generated, which an attribute cannot be.",
            hint="Write the expression as an annotation of a manager's queryset",
            obj=model,
        )
    if field.is_relation and not field.primary_key and field.column == DATA:
        yield error(
            "E083",
            f"The foreign key {field.name!r} has the column {DATA!r}, which the table behind the model needs.",
            hint=f'Write {field.name} = …(db_column="{field.name}_id")',
            obj=model,
        )


def _constraint(model: type[models.Model], item: Any) -> Iterator[CheckMessage]:
    if isinstance(item, models.CheckConstraint):
        if any(isinstance(part, RawSQL) for part in item.condition.flatten()):
            yield _impossible(model, item, "SQL of your own names columns, and attributes are none")
        try:
            condition_sql(model, item.condition)
        except FieldError as wrong:
            yield _impossible(model, item, f"its condition cannot be decided from the row alone: {wrong}")
    elif not isinstance(item, models.Index | models.UniqueConstraint):
        yield _impossible(model, item, "only checks, unique constraints and indexes can be made over attributes")
    elif getattr(item, "include", None) or getattr(item, "deferrable", None):
        yield _impossible(model, item, "an index over attributes has no include, and a unique one is not deferrable")


def _impossible(model: type[models.Model], item: Any, why: str) -> CheckMessage:
    return error(
        "E086",
        f"{type(item).__name__} {item.name!r} is not possible over attributes: {why}.",
        hint=f"Write {type(item).__name__}(…, name={source(item.name)}) without that",
        obj=model,
    )


def check_index_names(made: Iterable[tuple[type[models.Model], str]]) -> Iterator[CheckMessage]:
    """Find attributes whose indexes would be the same one: `type_code` of `product`, and `code` of `product_type`.

    `made` are models, each with the schema of its tables.
    """
    known: dict[ObjectKey, type[models.Model]] = {}
    for model, schema in made:
        if not get_factory(model).has_view or model._meta.proxy or not is_possible(model):
            continue
        for index in attribute_indexes(model, schema):
            if index.key in known:
                yield error(
                    "E090",
                    f"Attributes of {known[index.key]._meta.label} and {model._meta.label} would have one index: its "
                    f"name, {index.name!r}, is made of those of table and column.",
                    hint="Write models.UniqueConstraint(fields=[…], name=…) in class Meta in place of unique=True, or "
                    "models.Index(fields=[…], name=…) in place of db_index=True, in one of them",
                    obj=model,
                )
            known[index.key] = model


def check_reference(model: type[models.Model], field: Any) -> Iterator[CheckMessage]:
    """Judge a foreign key or many-to-many field of any model to one whose relation is a view."""
    if not refers_to_view(field):
        return
    target = field.remote_field.model.__name__
    if isinstance(field, PGCraftForeignKey):
        if not is_column(field.target_field):
            yield error(
                "E089",
                f"{field.name!r} refers to {field.target_field.name!r} of {target}, an attribute, which is no column.",
                hint=f"Write {field.name} = PGCraftForeignKey({target}, …) without to_field",
                obj=model,
            )
    elif not field.many_to_many:
        yield error(
            "E081",
            f"{field.name!r} is a {type(field).__name__} to {target}, whose relation is a view: PostgreSQL has no "
            "foreign keys to views.",
            hint=f"Write {field.name} = PGCraftForeignKey({target}, …{', unique=True' if field.unique else ''}) with "
            "from pgcraft_django.models import PGCraftForeignKey",
            obj=model,
        )
    elif field.remote_field.through._meta.auto_created and not get_factory(model).has_view:  # else it is told above
        yield error(
            "E084",
            f"The field {field.name!r} is many-to-many to {target}, and its table cannot refer to a view.",
            hint=f"Write a model of the links, with a PGCraftForeignKey({target}, on_delete=models.CASCADE), "
            f"and {field.name} = models.ManyToManyField({target}, through=…)",
            obj=model,
        )
