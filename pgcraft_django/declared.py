"""The declared state: the objects that the models and registrations ask for now, app by app.

A resource is a view in the API schema that selects straight from the model's table, so that PostgreSQL can write
through it and PostgREST can see the foreign keys and defaults behind it. Privileges are those of the role that
asks: it gets exactly the exposed columns of the table and of the view, and no access to the table's schema.
"""

import inspect
import re
from collections.abc import Iterable

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.db import models
from django.utils import translation

from pgcraft_django.api import PRIVILEGES, Resource, is_written
from pgcraft_django.columns import AnyField, column_name, column_types
from pgcraft_django.embedding import embedding_objects
from pgcraft_django.naming import DEFAULT_SCHEMA, quote_name
from pgcraft_django.objects import (
    Comment,
    DatabaseObject,
    Role,
    Schema,
    SchemaGrant,
    TableGrant,
    TablePlacement,
    View,
)
from pgcraft_django.plugins.base import get_plugins
from pgcraft_django.recorded import ObjectMap
from pgcraft_django.registry import get_resources, is_factory_model, possible_models, table_schema

GENERATED_DOCSTRING = re.compile(r"(\w+)\([\w, ]*\)")


def declared(apps: Apps = global_apps) -> dict[str, ObjectMap]:
    """Return app label -> key -> object: what the migrations should have made."""
    state: dict[str, ObjectMap] = {}

    def add(app_label: str, *items: DatabaseObject) -> None:
        state.setdefault(app_label, {}).update({item.key: item for item in items})

    for model in possible_models(apps):
        if model._meta.managed and not model._meta.proxy and (schema := table_schema(model)) != DEFAULT_SCHEMA:
            placement = TablePlacement(schema=schema, name=model._meta.db_table)
            add(model._meta.app_label, Schema(name=schema), placement)
    for model in possible_models(apps):
        if is_factory_model(model):
            for part in (model.pgcraft_factory, *get_plugins(model)):  # type: ignore[attr-defined]
                add(model._meta.app_label, *part.objects(model, table_schema(model)))
    resources = get_resources(apps)
    by_table: dict[tuple[str, str], list[Resource]] = {}  # a proxy has its model's table
    for resource in resources:
        by_table.setdefault((resource.app_label, resource.model._meta.db_table), []).append(resource)
        add(resource.app_label, *_resource_objects(resource))
    for (app_label, _), group in by_table.items():
        add(app_label, *_table_grants(group))
    for app_label, item in embedding_objects(resources):
        add(app_label, item)
    return state


def _resource_objects(resource: Resource) -> list[DatabaseObject]:
    """Return the view with all it needs, but without the grants on the table (see `_table_grants`)."""
    objects: list[DatabaseObject] = [Schema(name=resource.schema), _view(resource)]
    if comment := _comment(resource):
        objects.append(comment)
    for role, privileges in resource.grants.items():
        objects += [
            Role(name=role),
            SchemaGrant(schema=resource.schema, role=role),
            TableGrant(
                schema=resource.schema,
                table=resource.name,
                role=role,
                privileges={privilege: [] for privilege in privileges},
            ),
        ]
    return objects


def _table_grants(resources: Iterable[Resource]) -> list[DatabaseObject]:
    """Return what the roles need on the table behind `resources`, which are all of one model."""
    needed: dict[str, dict[str, set[str]]] = {}
    tables = set()
    for resource in resources:
        tables.add((resource.table_schema, resource.model._meta.db_table))
        for role, privileges in resource.grants.items():
            for privilege in privileges:
                columns = needed.setdefault(role, {}).setdefault(privilege, set())
                columns.update(column_name(field) for field in resource.fields if _applies(privilege, field))
    return [
        TableGrant(
            schema=schema,
            table=table,
            role=role,
            privileges={
                privilege: sorted(privileges[privilege])
                for privilege in PRIVILEGES
                if privilege in privileges and (privilege == "delete" or privileges[privilege])
            },
        )
        for schema, table in tables
        for role, privileges in needed.items()
    ]


def _applies(privilege: str, field: AnyField) -> bool:
    """Deleting is a privilege on the whole row, and nobody writes what the database does."""
    return privilege == "select" or (privilege != "delete" and is_written(field))


def _view(resource: Resource) -> View:
    table = quote_name(resource.table_schema, resource.model._meta.db_table)
    lines = ",\n".join(f"    {quote_name(column)}" for column in resource.columns)
    return View(
        schema=resource.schema,
        name=resource.name,
        query=f"SELECT\n{lines}\nFROM {table}",
        reads={table: column_types(resource.fields)},
    )


def _comment(resource: Resource) -> Comment | None:
    # Migrations are written in the language of the source, whatever is active here.
    with translation.override(None):
        columns = {column_name(field): str(field.db_comment or field.help_text or "") for field in resource.fields}
        text = str(resource.model._meta.db_table_comment or _docstring(resource.model))
    columns = {column: value for column, value in columns.items() if value}
    if not text and not columns:
        return None
    return Comment(schema=resource.schema, name=resource.name, text=text, columns=columns)


def _docstring(model: type[models.Model]) -> str:
    # Django writes a docstring of its own, `Model(field, field)`, where there is none. It names hidden fields too, and
    # not those that came later, so it is known by its form.
    doc = model.__doc__ or ""
    generated = GENERATED_DOCSTRING.fullmatch(doc)
    return "" if generated and generated[1] == model.__name__ else inspect.cleandoc(doc)
