"""The declared state: what the models and registrations ask for now, app by app."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.db import models
from django.utils.module_loading import module_has_submodule

from pgcraft_django.api import API, Resource, make_resource, resource_objects, table_grants
from pgcraft_django.conf import get_config
from pgcraft_django.embedding import embedding_objects
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.factories.base import PGCraftModel
from pgcraft_django.objects import Schema, TablePlacement
from pgcraft_django.objects.relation import DEFAULT_SCHEMA
from pgcraft_django.options import as_apis, get_options
from pgcraft_django.recorded import ObjectMap


@dataclass(frozen=True)
class Registration:
    """One call of `register()`."""

    app_label: str
    apis: tuple[API, ...]


_registrations: dict[type[models.Model], list[Registration]] = {}


def register(
    model: type[models.Model], *, api: API | Sequence[API] | None = None, app_label: str | None = None
) -> None:
    """Expose `model`, which may belong to another app, such as `auth.Group` or a many-to-many field's `through`.

    The views and grants go into the migrations of `app_label`, by default the app whose module makes this call:
    put it into that app's `pgcraft.py`. The table itself stays where its own app has it.

    Raises `ConfigurationError` if the app cannot be told.
    """
    if app_label is None:
        caller = sys._getframe(1).f_globals["__name__"]
        config = global_apps.get_containing_app_config(caller)
        if config is None:
            raise ConfigurationError(
                f"register({model.__name__}) is called in {caller!r}, which belongs to no installed app. "
                "Call it in an app's pgcraft.py, or pass app_label=."
            )
        app_label = config.label
    apis = as_apis(api) or (API(),)
    _registrations.setdefault(model, []).append(Registration(app_label=app_label, apis=apis))


def autodiscover() -> None:
    """Import `pgcraft.py` of each installed app that has one."""
    for config in global_apps.get_app_configs():
        if config.module is not None and module_has_submodule(config.module, "pgcraft"):
            import_module(f"{config.name}.pgcraft")


def registrations(model: type[models.Model]) -> list[Registration]:
    """Return what `register()` was told about `model`."""
    return _registrations.get(model, [])


def is_factory(model: type[models.Model]) -> bool:
    """Tell whether the package decides where the model's table lives."""
    return issubclass(model, PGCraftModel) and not model._meta.proxy


def table_schema(model: type[models.Model]) -> str:
    """Return the schema of the model's table. A many-to-many table lives where its model does."""
    owner = model._meta.auto_created or model._meta.concrete_model or model
    return get_options(owner).schema if is_factory(owner) and owner._meta.managed else DEFAULT_SCHEMA


def get_resources(apps: Apps = global_apps) -> list[Resource]:
    """Return every API of every model, in order of schema and name."""
    return sorted(
        (resource for model in _models(apps) for resource in _model_resources(model)),
        key=lambda resource: (resource.schema, resource.name, resource.app_label),
    )


def _models(apps: Apps) -> Iterator[type[models.Model]]:
    for model in apps.get_models(include_auto_created=True):
        if is_factory(model) or model in _registrations or is_factory(model._meta.auto_created or models.Model):
            yield model


def _model_resources(model: type[models.Model]) -> Iterator[Resource]:
    own = [Registration(model._meta.app_label, get_options(model).apis)] if is_factory(model) else []
    for registration in [*own, *registrations(model)]:
        for api in registration.apis:
            yield make_resource(model, api, app_label=registration.app_label, table_schema=table_schema(model))


def declared(apps: Apps = global_apps) -> dict[str, ObjectMap]:
    """Return app label -> key -> object: what the migrations should have made."""
    state: dict[str, ObjectMap] = {}
    for model in _models(apps):
        if model._meta.managed and not model._meta.proxy and (schema := table_schema(model)) != DEFAULT_SCHEMA:
            placement = TablePlacement(schema=schema, name=model._meta.db_table)
            for item in (Schema(name=schema), placement):
                state.setdefault(model._meta.app_label, {})[item.key] = item
    resources = get_resources(apps)
    by_table: dict[tuple[str, type[models.Model]], list[Resource]] = {}
    for resource in resources:
        by_table.setdefault((resource.app_label, resource.model), []).append(resource)
        for item in resource_objects(resource):
            state.setdefault(resource.app_label, {})[item.key] = item
    for (app_label, _), group in by_table.items():
        for item in table_grants(group):
            state.setdefault(app_label, {})[item.key] = item
    for app_label, item in embedding_objects(resources):
        state.setdefault(app_label, {})[item.key] = item
    return state


def table_schemas(apps: Apps = global_apps) -> tuple[str, ...]:
    """Return the schemas that hold tables, in order of name, without the default one."""
    schemas = {table_schema(model) for model in _models(apps)}
    return tuple(sorted(schemas - {DEFAULT_SCHEMA}))


def api_schemas(apps: Apps = global_apps) -> tuple[str, ...]:
    """Return the schemas that PostgREST exposes, `API_SCHEMA` first."""
    main = get_config().api_schema
    return (main, *sorted({resource.schema for resource in get_resources(apps)} - {main}))
