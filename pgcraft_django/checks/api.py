"""Each `API(…)` by itself: its arguments, its columns, and whether what it grants can work."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.core.checks import CheckMessage
from django.db import models

from pgcraft_django.api import API, exposed_fields, field_names, is_api, make_resource
from pgcraft_django.checks.defaults import check_inserts
from pgcraft_django.checks.grants import check_grants
from pgcraft_django.checks.names import check_name, check_schema
from pgcraft_django.conf import get_config, is_names
from pgcraft_django.messages import corrected, error, listed, of_apps, source
from pgcraft_django.registry import concerned_models, declarations, registrations, table_schema


def check_apis(
    *, app_configs: Sequence[AppConfig] | None = None, apps: Apps = global_apps, **kwargs: Any
) -> list[CheckMessage]:
    """Return what is wrong with the APIs of the models of `app_configs`."""
    return of_apps((message for model in concerned_models(apps) for message in _model(model)), app_configs)


def _model(model: type[models.Model]) -> Iterator[CheckMessage]:
    for registration in registrations(model):
        if not is_api(registration.api):
            yield error(
                "E031",
                f"register() has api= of type {type(registration.api).__name__}; it must be an API or a list of them.",
                hint=f"Write register({model.__name__}, api=API())",
                obj=model,
            )
    for registration in declarations(model):
        for api in registration.apis:
            problems = list(_api(model, api))
            yield from problems
            if not problems:
                schema = table_schema(model)
                resource = make_resource(model, api, app_label=registration.app_label, table_schema=schema)
                yield from check_inserts(resource)


def _api(model: type[models.Model], api: API) -> Iterator[CheckMessage]:
    for argument in ("name", "schema"):
        value = getattr(api, argument)
        if not isinstance(value, str | None):
            example = model._meta.db_table if argument == "name" else get_config().api_schema
            yield _wrong_type(model, argument, value, "a string", f"{argument}={source(example)}")
    if isinstance(api.name, str):
        yield from check_name(api.name, line='API(name="{name}")', obj=model)
    if isinstance(api.schema, str):
        yield from check_schema(
            api.schema,
            default=get_config().api_schema,
            line='API(schema="{name}")',
            obj=model,
        )
    if api.grants is not None:
        yield from check_grants(api.grants, place="grants=", obj=model)
    yield from _columns(model, api)


def _wrong_type(model: type[models.Model], argument: str, value: object, what: str, line: str) -> CheckMessage:
    message = f"API({argument}=…) is of type {type(value).__name__}; it must be {what}."
    return error("E031", message, hint=f"Write API({line})", obj=model)


def _columns(model: type[models.Model], api: API) -> Iterator[CheckMessage]:
    known = list(dict.fromkeys(field.name for field in field_names(model).values()))
    wrong = False
    for argument in ("columns", "exclude"):
        value = getattr(api, argument)
        if value is None:
            continue
        if not is_names(value):
            wrong = True
            names = [value] if isinstance(value, str) else known[:2]
            what = "a list of names of fields"
            yield _wrong_type(model, argument, value, what, f"{argument}={source(names)}")
        elif unknown := [name for name in value if name not in field_names(model)]:
            wrong = True
            yield _unknown(model, argument, value, unknown, known)
    if wrong:
        return
    if api.columns is not None and api.exclude is not None:
        rest = [name for name in api.columns if name not in api.exclude]
        yield error(
            "E032",
            "API has both columns and exclude.",
            hint=f"Write API(columns={source(rest)}) without exclude",
            obj=model,
        )
    elif twice := _repeated(model, api):
        fields = [field.name for field in exposed_fields(model, api)]
        yield error(
            "E034",
            f"API(columns=…) names the same column more than once: {listed(twice)}.",
            hint=f"Write API(columns={source(fields)})",
            obj=model,
        )
    elif not exposed_fields(model, api):
        yield error(
            "E035",
            "The API exposes no column.",
            hint=f"Write API(columns={source(known[:2])}), or api = None to expose nothing",
            obj=model,
        )


def _unknown(
    model: type[models.Model], argument: str, value: Sequence[str], unknown: Sequence[str], known: Sequence[str]
) -> CheckMessage:
    fixed = corrected((name if name in unknown else field_names(model)[name].name for name in value), known)
    line = f"Write API({argument}={source(fixed)}); the" if fixed else "The"
    hint = f"{line} fields are {listed(known)}"
    for field in model._meta.local_many_to_many:
        if field.name in unknown:
            hint += f". A many-to-many field is a table: register({model.__name__}.{field.name}.through, api=API())"
    return error("E033", f"API({argument}=…) names what is not a column: {listed(unknown)}.", hint=hint, obj=model)


def _repeated(model: type[models.Model], api: API) -> list[str]:
    fields = [field_names(model)[name] for name in api.columns or ()]
    return sorted({field.name for field in fields if fields.count(field) > 1})
