"""What the models and registrations say: their schemas, APIs and policies. Every start-up reads it, so it is light."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.db import models, router
from django.utils.module_loading import module_has_submodule

from pgcraft_django.api import API, Resource, as_apis, declared_api, make_resource
from pgcraft_django.conf import get_config
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.naming import DEFAULT_SCHEMA, is_identifier, plain_text
from pgcraft_django.plugins.base import option


@dataclass(frozen=True)
class Registration:
    """What a model's own `class PGCraft`, or one call of `register()`, says about its APIs and policies."""

    app_label: str
    api: object
    """As it was written."""
    policies: object = ()
    """As it was written; those of `class PGCraft` are read where they are needed."""

    @property
    def apis(self) -> tuple[API, ...]:
        return as_apis(self.api)


_registrations: dict[type[models.Model], list[Registration]] = {}


def register(
    model: type[models.Model],
    *,
    api: API | Sequence[API] | None = None,
    policies: Sequence[object] = (),
    app_label: str | None = None,
) -> None:
    """Expose `model`, which may belong to another app, such as `auth.Group` or a many-to-many field's `through`.

    With `policies`, a list of them, its table has row-level security. Views, grants and policies go into the migrations
    of `app_label`, by default the app whose module makes this call: put it into that app's `pgcraft.py`. The table
    itself stays where its own app has it.

    Raises `ConfigurationError` if `model` is no model class, or the app cannot be told.
    """
    if not (isinstance(model, type) and issubclass(model, models.Model)):
        raise ConfigurationError(f"register() takes one model class, such as Group, and not {model!r}.")
    if app_label is None:
        caller = sys._getframe(1).f_globals["__name__"]
        config = global_apps.get_containing_app_config(caller)
        if config is None:
            raise ConfigurationError(
                f"register({model.__name__}) is called in {caller!r}, which belongs to no installed app. "
                "Call it in an app's pgcraft.py, or pass app_label=."
            )
        app_label = config.label
    _registrations.setdefault(model, []).append(Registration(app_label, API() if api is None else api, policies))


def autodiscover() -> None:
    """Import `pgcraft.py` of each installed app that has one."""
    for config in global_apps.get_app_configs():
        if config.module is not None and module_has_submodule(config.module, "pgcraft"):
            import_module(f"{config.name}.pgcraft")


def registered_models() -> list[type[models.Model]]:
    """Return the models that `register()` was called for."""
    return list(_registrations)


def registrations(model: type[models.Model]) -> list[Registration]:
    """Return what `register()` was told about `model`."""
    return _registrations.get(model, [])


def policy_registrations(model: type[models.Model]) -> list[Registration]:
    """Return the calls of `register()` that give `model` policies; one of them is enough."""
    return [registration for registration in registrations(model) if registration.policies]


def declarations(model: type[models.Model]) -> list[Registration]:
    """Return all that is declared about the model's APIs: by itself first."""
    own = [Registration(model._meta.app_label, declared_api(model))] if is_factory_model(model) else []
    return [*own, *registrations(model)]


def _owner(model: type[models.Model]) -> type[models.Model] | None:
    """Return the model whose many-to-many field made this one."""
    return model._meta.auto_created or None  # type: ignore[return-value]


def is_factory_model(model: type[models.Model]) -> bool:
    """Tell whether the package decides where the model's table lives."""
    from pgcraft_django.factories.base import PGCraftModel  # loads the database's driver, see `models`

    return issubclass(model, PGCraftModel) and not model._meta.proxy


def table_schema(model: type[models.Model]) -> str:
    """Return the schema of the model's table. A many-to-many table lives where its model does."""
    owner = _owner(model) or model._meta.concrete_model or model
    if not is_factory_model(owner) or not owner._meta.managed:
        return DEFAULT_SCHEMA
    schema = option(owner, "schema")
    return plain_text(schema if schema and isinstance(schema, str) else get_config().table_schema)


def get_resources(apps: Apps = global_apps) -> list[Resource]:
    """Return every API of every model, those of one model in the order in which they are declared."""
    return [
        resource for model in possible_models(apps) for resource in model_resources(model) if _is_possible(resource)
    ]


def is_concerned(model: type[models.Model]) -> bool:
    """Tell whether a model is one of a factory, or a many-to-many table of one, or registered."""
    return is_factory_model(model) or model in _registrations or is_factory_model(_owner(model) or models.Model)


def concerned_models(apps: Apps = global_apps) -> Iterator[type[models.Model]]:
    """Yield the models that the package has to do with."""
    return filter(is_concerned, apps.get_models(include_auto_created=True))


def login_models(apps: Apps = global_apps) -> list[type[models.Model]]:
    """Return the models of logins, of which there should be one at most."""
    from pgcraft_django.factories.login.model import PGCraftLogin

    return [model for model in apps.get_models() if issubclass(model, PGCraftLogin) and not model._meta.proxy]


def possible_models(apps: Apps) -> Iterator[type[models.Model]]:
    """Yield the models whose names PostgreSQL can hold; the others are left to the system checks."""
    for model in concerned_models(apps):
        if is_identifier(model._meta.db_table) and is_identifier(table_schema(model)):
            yield model


def _is_possible(resource: Resource) -> bool:
    """Tell whether there can be such a view; if not, it is left to the system checks."""
    return bool(resource.fields) and is_identifier(resource.schema) and is_identifier(resource.name)


def model_resources(model: type[models.Model]) -> Iterator[Resource]:
    """Yield every API of the model, with nothing left out."""
    for registration in declarations(model):
        for api in registration.apis:
            yield make_resource(model, api, app_label=registration.app_label, table_schema=table_schema(model))


def resource_of_table(model: type[models.Model]) -> Resource | None:
    """Return the resource that is found by the name of the model's table, as `as_role()` finds it, if there is one."""
    concrete = model._meta.concrete_model or model
    proxies = [other for other in _registrations if other._meta.concrete_model is concrete]
    found = [
        resource
        for other in dict.fromkeys([concrete, *proxies])
        for resource in model_resources(other)
        if resource.name == concrete._meta.db_table and _is_possible(resource)
    ]
    main = get_config().api_schema
    return min(found, key=lambda resource: (resource.schema != main, resource.schema), default=None)


def table_schemas(apps: Apps = global_apps, using: str | None = None) -> tuple[str, ...]:
    """Return the schemas that hold tables, of all databases or of `using`, by their names, without the default one."""
    schemas = {
        table_schema(model)
        for model in possible_models(apps)
        if using is None or router.allow_migrate_model(using, model)
    }
    return tuple(sorted(schemas - {DEFAULT_SCHEMA}))


def api_schemas(apps: Apps = global_apps) -> tuple[str, ...]:
    """Return the schemas that PostgREST exposes, `API_SCHEMA` first."""
    main = get_config().api_schema
    return (main, *sorted({resource.schema for resource in get_resources(apps)} - {main}))
