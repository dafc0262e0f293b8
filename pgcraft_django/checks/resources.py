"""All APIs together: names and schemas that clash, and registrations that lead nowhere."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.core.checks import CheckMessage
from django.db import models

from pgcraft_django.api import Resource, own_fields
from pgcraft_django.checks.models import has_migrations
from pgcraft_django.checks.names import check_name
from pgcraft_django.conf import get_config
from pgcraft_django.embedding import embedding_objects
from pgcraft_django.factories.base import exposed_at, get_factory
from pgcraft_django.factories.companion import copied_names
from pgcraft_django.messages import error, listed, nearest, of_apps, source, warning
from pgcraft_django.naming import DEFAULT_SCHEMA, is_identifier, shorten
from pgcraft_django.objects import Function
from pgcraft_django.registry import (
    concerned_models,
    get_resources,
    is_factory_model,
    possible_models,
    registered_models,
    registrations,
    table_schema,
    table_schemas,
)


def check_resources(
    *, app_configs: Sequence[AppConfig] | None = None, apps: Apps = global_apps, **kwargs: Any
) -> list[CheckMessage]:
    """Return what is wrong between the APIs; those of all apps are compared, whatever `app_configs` are asked for."""
    resources = get_resources(apps)
    messages = [
        *_exposed_tables(apps, resources),
        *_same_names(resources),
        *_same_functions(apps, resources),
        *_same_writers(resources),
        *_embedding(resources),
        *_two_apps(resources),
        *_registrations(apps),
        *_former_values(resources),
    ]
    return of_apps(messages, app_configs)


def _exposed_tables(apps: Apps, resources: Sequence[Resource]) -> Iterator[CheckMessage]:
    config = get_config()
    if config.api_schema not in {config.table_schema, DEFAULT_SCHEMA}:  # else E004 says it
        for model in concerned_models(apps):
            if table_schema(model) == config.api_schema and not model._meta.auto_created and not model._meta.proxy:
                yield error(
                    "E036",
                    f"The model's table is in the schema {config.api_schema!r}, which is exposed.",
                    hint=f"Write schema = {source(config.table_schema)} in class PGCraft",
                    obj=model,
                )
    for resource in resources:
        if resource.schema != config.api_schema and resource.schema in {DEFAULT_SCHEMA, *table_schemas(apps)}:
            yield error(
                "E036",
                f"The API exposes the schema {resource.schema!r}, which holds tables: all of them would be exposed.",
                hint=f"Write API(schema={source(config.api_schema)})",
                obj=resource.model,
            )


def _same_names(resources: Sequence[Resource]) -> Iterator[CheckMessage]:
    groups: dict[tuple[str, str], list[Resource]] = defaultdict(list)
    for resource in resources:
        groups[resource.schema, resource.name].append(resource)
    taken = set(groups)
    for (schema, name), group in groups.items():
        for number, resource in enumerate(group[1:], start=2):
            own = f"{resource.model._meta.app_label}_{name}"
            free = own if (schema, own) not in taken else f"{own}_{number}"
            taken.add((schema, free))
            yield error(
                "E037",
                f"Several resources are named {source(name)} in the schema {schema!r}: those of "
                f"{', '.join(item.model._meta.label for item in group)}.",
                hint=f"Write API(name={source(free)})",
                obj=resource.model,
            )


def _same_functions(apps: Apps, resources: Sequence[Resource]) -> Iterator[CheckMessage]:
    """Find functions of one name: a model without an API may have them too, called after its table."""
    exposed = {(resource.model, resource.schema, resource.name) for resource in resources}
    hidden: dict[tuple[str, str, str], type[models.Model]] = {}
    shown: list[tuple[type[models.Model], tuple[str, str, str]]] = []
    for model in filter(is_factory_model, possible_models(apps)):
        end, (schema, name) = get_factory(model).called(model), exposed_at(model)
        if not end or not is_identifier(schema) or not is_identifier(name):
            continue
        if (model, schema, name) in exposed:
            shown.append((model, (schema, name, end)))
        else:
            hidden[schema, name, end] = model
    for model, (schema, name, end) in shown:
        if other := hidden.get((schema, name, end)):
            yield error(
                "E037",
                f"{model._meta.label} and {other._meta.label}, which has no API of its own, would have one function "
                f"in the schema {schema!r}: {source(shorten(f'{name}_{end}'))}.",
                hint=f"Write API(name={source(f'{model._meta.app_label}_{name}')})",
                obj=model,
            )


def _same_writers(resources: Sequence[Resource]) -> Iterator[CheckMessage]:
    """Find views over attributes that one function would write to: its name is made of those of schema and view."""
    known: dict[tuple[type[models.Model], str], Resource] = {}
    for resource in resources:
        if not get_factory(resource.model).has_view:
            continue
        other = known.setdefault((resource.model, f"{resource.schema}_{resource.name}"), resource)
        if other.schema != resource.schema:
            yield error(
                "E037",
                f"One function would write to {other.schema}.{other.name} and {resource.schema}.{resource.name}.",
                hint=f"Write API(schema={source(resource.schema)}, name={source(f'all_{resource.name}')})",
                obj=resource.model,
            )


def _embedding(resources: Sequence[Resource]) -> Iterator[CheckMessage]:
    for _, item in embedding_objects(resources):
        if isinstance(item, Function):
            yield from check_name(
                item.name, line='ManyToManyField(related_name="{name}") or another name for the field'
            )


def _two_apps(resources: Sequence[Resource]) -> Iterator[CheckMessage]:
    exposing: dict[type[models.Model], set[str]] = defaultdict(set)
    for resource in resources:
        exposing[resource.model._meta.concrete_model or resource.model].add(resource.app_label)
    for model, labels in exposing.items():
        if len(labels) > 1:
            own = model._meta.app_label if model._meta.app_label in labels else min(labels)
            others = ", ".join(sorted(labels - {own}))
            yield error(
                "E038",
                f"The apps {', '.join(sorted(labels))} all expose the model; their migrations would undo each other's "
                "grants on its table.",
                hint=f"Write all of its APIs as one list in {own}: api=[API(), API(name=…)], and remove register() "
                f"from {others}",
                obj=model,
            )


def _registrations(apps: Apps) -> Iterator[CheckMessage]:
    for model in registered_models():
        if model._meta.apps is not apps:
            continue
        if model._meta.abstract:
            children = sorted(child.__name__ for child in apps.get_models() if issubclass(child, model))
            yield error(
                "E039",
                "register() is called for an abstract model, which has no table.",
                hint="Write " + " and ".join(f"register({name}, …)" for name in children or ["ItsSubclass"]),
                obj=model,
            )
        elif model._meta.swapped:
            yield error(
                "E039",
                f"register() is called for a model that {model._meta.swapped} takes the place of.",
                hint=f"Write register(apps.get_model({source(str(model._meta.swapped))}), …) "
                "with from django.apps import apps",
                obj=model,
            )
        for registration in registrations(model):
            yield from _app(apps, model, registration.app_label)


def _app(apps: Apps, model: type[models.Model], label: str) -> Iterator[CheckMessage]:
    labels = sorted(config.label for config in apps.get_app_configs())
    if label not in labels:
        yield error(
            "E040",
            f"register() names the app {label!r}, which is not installed.",
            hint=f"Write app_label={source(nearest(label, labels) or model._meta.app_label)}",
            obj=model,
        )
    elif not has_migrations(apps, label):
        path = f"{apps.get_app_config(label).name.replace('.', '/')}/migrations/__init__.py"
        yield error(
            "E040",
            f"register() puts the views into the migrations of {label!r}, which has none.",
            hint=f"Create the empty file {path}",
            obj=model,
        )


def _former_values(resources: Sequence[Resource]) -> Iterator[CheckMessage]:
    """Find histories, logs and balances that show a role what the rows themselves hide from it."""
    seen: dict[tuple[type[models.Model], str], set[str]] = defaultdict(set)
    for resource in resources:
        for role in resource.roles("select"):
            seen[resource.model._meta.concrete_model or resource.model, role] |= {item.name for item in resource.fields}
    for resource in resources:
        owner = getattr(resource.model, "pgcraft_owner", None)
        if owner is None:
            continue
        shown = _shown(resource, owner)
        # A role that reads no row at all is there to read the past.
        hidden = {
            role: shown.keys() - seen[owner, role] for role in sorted(resource.roles("select")) if (owner, role) in seen
        }
        roles = [role for role, names in hidden.items() if names]
        if roles:
            names = [field.name for field in own_fields(owner) if field.name in set().union(*hidden.values())]
            told_by = {item for name in names for item in shown[name]}
            columns = [field.name for field in resource.fields if field.name in told_by]
            yield warning(
                "W005",
                f"{source(resource.name)} shows {listed(names)} to {listed(roles)}, but the API of the model does not.",
                hint=f"Write exclude={source(columns)} in its API",
                obj=owner,
            )


def _shown(resource: Resource, owner: type[models.Model]) -> dict[str, Sequence[str]]:
    """Return field of the owner -> fields of its companion that tell its values, keys left out."""
    names = {field.name for field in resource.fields}
    shown: dict[str, Sequence[str]] = {original: [copy.name] for original, copy in copied_names(resource.model).items()}
    shown |= get_factory(resource.model).tells(owner)
    keys = {field.name for field in owner._meta.pk_fields}
    return {name: told for name, told in shown.items() if name not in keys and names & set(told)}
