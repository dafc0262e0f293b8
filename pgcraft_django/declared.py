"""The declared state: the objects that the models and registrations ask for now, app by app.

A resource is a view in the API schema that selects straight from the model's table, so that PostgreSQL can write
through it and PostgREST can see the foreign keys and defaults behind it. Privileges are those of the role that
asks: it gets exactly the exposed columns of the table and of the view, and no access to the table's schema.
"""

import inspect
import re
from collections.abc import Iterator

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.db import models
from django.utils import translation
from django.utils.text import capfirst

from pgcraft_django.api import PRIVILEGES, Resource
from pgcraft_django.columns import column_name
from pgcraft_django.embedding import embedding_objects
from pgcraft_django.factories.base import Source, get_factory, view_defaults
from pgcraft_django.factories.foreign_key import PGCraftForeignKey, reference, refers_to_view
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
from pgcraft_django.policies.objects import policy_objects
from pgcraft_django.recorded import ObjectMap
from pgcraft_django.registry import (
    get_resources,
    is_factory_model,
    policy_registrations,
    possible_models,
    table_schema,
)

GENERATED_DOCSTRING = re.compile(r"(\w+)\([\w, ]*\)")


def declared(apps: Apps = global_apps) -> dict[str, ObjectMap]:
    """Return app label -> key -> object: what the migrations should have made."""
    state: dict[str, ObjectMap] = {}

    def add(app_label: str, *items: DatabaseObject) -> None:
        state.setdefault(app_label, {}).update({item.key: item for item in items})

    for model in possible_models(apps):
        add(model._meta.app_label, *_placement(model))
    resources = get_resources(apps)
    tables: dict[tuple[str, str], _TableNeeds] = {}  # a proxy has its model's table
    for resource in resources:
        add(resource.app_label, *_resource_objects(resource))
        table = resource.table_schema, _source(resource).table
        tables.setdefault(table, _TableNeeds(resource.app_label)).add_resource(resource)
    for model in filter(is_factory_model, possible_models(apps)):
        source = get_factory(model).source(model, table_schema(model), ())
        needs = tables.setdefault((table_schema(model), source.table), _TableNeeds(model._meta.app_label))
        add(model._meta.app_label, *_model_objects(model, needs))
    for model in possible_models(apps):
        for registration in [] if is_factory_model(model) or model._meta.proxy else policy_registrations(model)[:1]:
            needs = tables.setdefault((table_schema(model), model._meta.db_table), _TableNeeds(registration.app_label))
            add(registration.app_label, *policy_objects(model, needs.columns))
    for model in apps.get_models(include_auto_created=True):
        add(model._meta.app_label, *_references(model))
    for (schema, name), needs in tables.items():
        add(needs.app_label, *needs.grants(schema, name))
    for app_label, item in embedding_objects(resources):
        add(app_label, item)
    return state


def _model_objects(model: type[models.Model], needs: "_TableNeeds") -> Iterator[DatabaseObject]:
    """Yield what the factory, the plugins and the policies make of a model, and note what roles need on its table."""
    factory = get_factory(model)
    for part in (factory, *get_plugins(model)):
        yield from part.objects(model, table_schema(model))
        for grant in part.column_grants(model):
            needs.add(*grant)
    yield from policy_objects(model, needs.columns)


def _references(model: type[models.Model]) -> Iterator[DatabaseObject]:
    """Yield the constraints of foreign keys to what is behind views. Migrations have them without."""
    if model._meta.proxy or not model._meta.managed or get_factory(model).has_view:
        return
    for field in model._meta.local_concrete_fields:
        if isinstance(field, PGCraftForeignKey) and field.db_constraint and refers_to_view(field):
            yield reference(field, table_schema(model), table_schema(field.related_model))


def _placement(model: type[models.Model]) -> list[DatabaseObject]:
    schema = table_schema(model)
    if not model._meta.managed or model._meta.proxy or schema == DEFAULT_SCHEMA or get_factory(model).has_view:
        return []
    return [Schema(name=schema), TablePlacement(schema=schema, name=model._meta.db_table)]


def _resource_objects(resource: Resource) -> list[DatabaseObject]:
    """Return the view with all it needs, but without the grants on the table (see `_TableNeeds`)."""
    objects: list[DatabaseObject] = [Schema(name=resource.schema), _view(resource)]
    objects += get_factory(resource.model).api_objects(resource)
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


class _TableNeeds:
    """What the roles need on one table; `app_label` is the app whose migrations grant it."""

    def __init__(self, app_label: str) -> None:
        self.app_label = app_label
        self.columns: dict[str, dict[str, set[str]]] = {}

    def add(self, role: str, privilege: str, *columns: str) -> None:
        self.columns.setdefault(role, {}).setdefault(privilege, set()).update(columns)

    def add_resource(self, resource: Resource) -> None:
        factory = get_factory(resource.model)
        for role, privileges in resource.grants.items():
            for privilege in privileges:
                for needed, columns in factory.privileges_behind(resource, privilege):
                    self.add(role, needed, *columns)

    def grants(self, schema: str, table: str) -> Iterator[TableGrant]:
        for role, privileges in self.columns.items():
            columns = {
                privilege: sorted(privileges[privilege])
                for privilege in PRIVILEGES
                if privilege in privileges and (privilege == "delete" or privileges[privilege])
            }
            yield TableGrant(schema=schema, table=table, role=role, privileges=columns)


def _view(resource: Resource) -> View:
    source = _source(resource)
    lines = ",\n".join(f"    {column}" for column in source.columns)
    return View(
        schema=resource.schema,
        name=resource.name,
        query=f"SELECT\n{lines}\nFROM {quote_name(resource.table_schema, source.table)}",
        reads=source.reads,
        # PostgREST knows a default only from the view itself, and needs it for `Prefer: missing=default`.
        defaults=view_defaults(resource.fields) if resource.roles("insert") | resource.roles("update") else {},
    )


def _source(resource: Resource) -> Source:
    return get_factory(resource.model).source(resource.model, resource.table_schema, resource.fields)


def _comment(resource: Resource) -> Comment | None:
    # Migrations are written in the language of the source, whatever is active here.
    with translation.override(None):
        columns = {column_name(field): str(field.db_comment or field.help_text or "") for field in resource.fields}
        text = str(resource.model._meta.db_table_comment or _docstring(resource.model))
        if not text and hasattr(resource.model, "pgcraft_owner"):
            text = f"{capfirst(str(resource.model._meta.verbose_name_plural))}."
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
