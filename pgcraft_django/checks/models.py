"""`class PGCraft`, and the tables of models: their names, their inheritance, their migrations."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig
from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.db import models

from pgcraft_django.api import API, declared_api, is_api
from pgcraft_django.checks.names import check_column, check_name, check_schema
from pgcraft_django.factories.base import PGCraftModel
from pgcraft_django.factories.eav.checks import check_index_names, check_reference
from pgcraft_django.messages import error, listed, nearest, of_apps, source, warning
from pgcraft_django.naming import MAX_BYTES, is_identifier, shorten
from pgcraft_django.plugins.base import Plugin, get_plugins, option
from pgcraft_django.registry import concerned_models, is_factory_model, possible_models, table_schema

QUOTE = '"'
MISREAD = {"%": "percent", "$": "dollar"}
"""What Django takes for a placeholder when it makes a table, or refuses in a query -> the word for it."""
PLAIN = (str, bool, dict, list, tuple, API, type(None))
"""What options are, and what fields, methods and properties of a model are not."""
PLACED = re.compile(r'"?(?P<schema>[^".]+)"?\."?(?P<table>[^".]+)"?')
"""A schema and a table, as people write both into `db_table`."""


def check_models(
    *, app_configs: Sequence[AppConfig] | None = None, apps: Apps = global_apps, **kwargs: Any
) -> list[CheckMessage]:
    """Return what is wrong with the models of `app_configs`."""
    return of_apps(_check(apps), app_configs)


def _check(apps: Apps) -> Iterator[CheckMessage]:
    for model in apps.get_models():
        if hasattr(model, "PGCraft"):
            yield from _place_of_options(model)
        if is_factory_model(model):
            yield from _options(model)
            yield from _misplaced(model)
            yield from _inheritance(model)
            for part in (model.pgcraft_factory, *get_plugins(model)):  # type: ignore[attr-defined]
                yield from part.check(model)
    for model in apps.get_models():
        # What is wrong with a field is said once, of the model that it was declared in.
        is_companion = hasattr(model, "pgcraft_owner")
        for field in () if is_companion else (*model._meta.local_fields, *model._meta.local_many_to_many):
            yield from check_reference(model, field)
    for model in concerned_models(apps):
        if not model._meta.proxy:
            yield from _names(model)
    yield from _cut_names(apps)
    yield from check_index_names((model, table_schema(model)) for model in possible_models(apps))
    yield from _migrations(apps)


def _place_of_options(model: type[models.Model]) -> Iterator[CheckMessage]:
    if model._meta.proxy:
        if "PGCraft" in vars(model):
            yield error(
                "E023",
                "A proxy model has no table, so its class PGCraft would do nothing.",
                hint=f"Write pgcraft_django.register({model.__name__}, api=API(name={source(model._meta.model_name)}))"
                " in the app's pgcraft.py",
                obj=model,
            )
    elif not issubclass(model, PGCraftModel):
        yield error(
            "E023",
            "The model has a class PGCraft but no factory makes it, so it would do nothing.",
            hint=f"Write class {model.__name__}(PGCraftSimple):",
            obj=model,
        )


def _options(model: type[models.Model]) -> Iterator[CheckMessage]:
    declared = getattr(model, "PGCraft", None)
    if declared is None:
        return
    if not isinstance(declared, type):
        message = f"PGCraft is of type {type(declared).__name__}; it must be a class."
        yield error("E022", message, hint="Write class PGCraft: api = API()", obj=model)
        return
    options = model.pgcraft_factory.options  # type: ignore[attr-defined]
    names = {name for name in dir(declared) if not name.startswith("_")}  # inherited ones included
    for name in sorted(names - options):
        near = nearest(name, options)
        yield error(
            "E021",
            f"class PGCraft has the unknown option {name!r}.",
            hint=f"Write {near} = …" if near else f"The options are {listed(sorted(options))}",
            obj=model,
        )
    schema = option(model, "schema")
    if not isinstance(schema, str | None):
        yield _wrong_type(model, "schema", schema, "a string", 'schema = "private"')
    elif schema is not None:
        yield from check_schema(schema, default="private", line='schema = "{name}" in class PGCraft', obj=model)
    if not is_api(api := declared_api(model)):
        yield _wrong_type(model, "api", api, "an API(…), a list of them, or None", "api = API()")
    plugins = option(model, "plugins", ())
    if not isinstance(plugins, list | tuple):
        yield _wrong_type(model, "plugins", plugins, "a list", "plugins = []")
    elif wrong := [plugin for plugin in plugins if not isinstance(plugin, Plugin)]:
        meant = wrong[0].__name__ if isinstance(wrong[0], type) and issubclass(wrong[0], Plugin) else "Balance"
        yield _wrong_type(model, "plugins", wrong[0], "a list of plugins", f"plugins = [{meant}(…)]")


def _misplaced(model: type[models.Model]) -> Iterator[CheckMessage]:
    """Find what nobody would read: options beside the inner class, and an inner class with almost its name."""
    options = model.pgcraft_factory.options  # type: ignore[attr-defined]
    written = [part for part in model.__mro__ if part.__module__.partition(".")[0] != "pgcraft_django"]
    for name, value in ((name, value) for part in written for name, value in vars(part).items()):
        # Django gives each model exceptions of its own.
        is_inner = (
            isinstance(value, type)
            and not issubclass(value, Exception)
            and name != "PGCraft"
            and nearest(name, ["PGCraft"], 0.8) is not None
        )
        if is_inner or (name in options and isinstance(value, PLAIN)):
            yield error(
                "E029",
                f"{f'class {name}' if is_inner else name} in the class of the model is not read by anybody.",
                hint="Write class PGCraft:" if is_inner else f"Write {name} = … in class PGCraft",
                obj=model,
            )


def _wrong_type(model: type[models.Model], name: str, value: object, what: str, line: str) -> CheckMessage:
    kind = f"the class {value.__name__} itself" if isinstance(value, type) else f"of type {type(value).__name__}"
    message = f"{name} in class PGCraft is {kind}; it must be {what}."
    return error("E022", message, hint=f"Write {line} in class PGCraft", obj=model)


def _inheritance(model: type[models.Model]) -> Iterator[CheckMessage]:
    for parent in model._meta.parents:
        yield error(
            "E026",
            f"The model inherits from {parent._meta.label}, which has a table of its own: one API view cannot write "
            "to two tables.",
            hint=f"Write abstract = True in class Meta of {parent.__name__}, or, instead of inheriting from it, "
            f"{parent._meta.model_name} = models.OneToOneField({parent.__name__}, on_delete=models.CASCADE, "
            "primary_key=True)",
            obj=model,
        )
    made = [base for base in model.__mro__ if "pgcraft_factory" in vars(base) and base is not PGCraftModel]
    if others := [base.__name__ for base in made if not issubclass(made[0], base)]:
        yield error(
            "E030",
            f"The model inherits from {made[0].__name__} and {listed(others)}. Only one factory can make it: the "
            "others would do nothing.",
            hint=f"Write class {model.__name__}({made[0].__name__}):",
            obj=model,
        )
    if not model._meta.managed:
        yield error(
            "E027",
            "A factory makes the model's table, so it cannot be managed = False.",
            hint=f"Write class {model.__name__}(models.Model): and, in the app's pgcraft.py, "
            f"pgcraft_django.register({model.__name__}, api=API())",
            obj=model,
        )


def _names(model: type[models.Model]) -> Iterator[CheckMessage]:
    """Judge the names of the table, and of the columns, constraints and indexes that the project chose."""
    shown = model._meta.auto_created or model  # a many-to-many table is said of the model with the field
    table = model._meta.db_table
    where = "in class Meta" if shown is model else "in the ManyToManyField"
    if "." in table or '"' in table:
        yield _ambiguous_table(shown, table, where)
    elif hasattr(model, "pgcraft_owner"):
        yield from _companion_name(model)
    elif _is_misread(model, table):
        yield _misread(shown, table, f'db_table = "{{name}}" {where}')
    else:
        yield from check_name(table, line=f'db_table = "{{name}}" {where}', obj=shown)
    is_companion = hasattr(model, "pgcraft_owner")  # its columns are those of its owner, which are judged there
    for field in () if is_companion else model._meta.local_concrete_fields:
        column = str(field.column)
        if '"' in column:
            yield error(
                "E024",
                f"The column {column!r} has a quote in its name, which Django cannot write.",
                hint=f"Write {field.name} = …(db_column={source(column.replace(QUOTE, '') or field.name)})",
                obj=shown,
            )
            continue
        line = f'{field.name} = …(db_column="{{name}}")'
        if _is_misread(model, column):
            yield _misread(shown, column, line)
        else:
            yield from check_column(column, line=line, obj=shown)
    for item in (*model._meta.constraints, *model._meta.indexes):
        yield from check_name(item.name, line=f'{type(item).__name__}(…, name="{{name}}")', obj=shown)


def _companion_name(model: Any) -> Iterator[CheckMessage]:
    """Judge the longest of the names of the tables beside a model, which begin with that of the model's own."""
    owner = _owner(model)
    beside = [other for other in model._meta.apps.get_models() if _owner(other) is owner]
    table = max((other._meta.db_table for other in beside), key=len)
    if table == model._meta.db_table and is_identifier(owner._meta.db_table) and not is_identifier(table):
        room = MAX_BYTES - len(table.removeprefix(owner._meta.db_table).encode())
        yield error(
            "E011",
            f"The table {table!r}, which goes with that of {owner.__name__}, has {len(table.encode())} bytes in its "
            f"name; PostgreSQL keeps {MAX_BYTES}.",
            hint=f"Write db_table = {source(shorten(owner._meta.db_table, room))} in class Meta of {owner.__name__}",
            obj=owner,
        )


def _owner(model: Any) -> Any:
    """Return the model that a companion belongs to, or the model itself."""
    return _owner(model.pgcraft_owner) if hasattr(model, "pgcraft_owner") else model


def _is_misread(model: type[models.Model], name: str) -> bool:
    return is_factory_model(model) and not hasattr(model, "pgcraft_owner") and any(sign in name for sign in MISREAD)


def _misread(shown: Any, name: str, line: str) -> CheckMessage:
    plain = "".join(MISREAD.get(sign, sign) for sign in name)
    return error(
        "E024",
        f"The name {name!r} has a character that Django does not allow in a name.",
        hint="Write " + line.replace('"{name}"', source(plain)),
        obj=shown,
    )


def _ambiguous_table(shown: Any, table: str, where: str) -> CheckMessage:
    parts = PLACED.fullmatch(table)
    if parts is None:
        plain = table.replace(QUOTE, "").replace(".", "_").strip("_")
        hint = f"Write db_table = {source(plain or 'name')} {where}"
    else:
        hint = f"Write db_table = {source(parts['table'])} {where} and schema = {source(parts['schema'])} "
        hint += "in class PGCraft" + ("" if is_factory_model(shown) else f" of class {shown.__name__}(PGCraftSimple)")
    return error(
        "E024",
        f"db_table is {table!r}: with a dot or a quote in it, Django and PostgreSQL take it for different names.",
        hint=hint,
        obj=shown,
    )


def _cut_names(apps: Apps) -> Iterator[CheckMessage]:
    """Find a table of ours that PostgreSQL cannot tell from another one, of whatever app."""
    ours = set(concerned_models(apps))
    same: dict[bytes, list[type[models.Model]]] = defaultdict(list)
    for model in apps.get_models(include_auto_created=True):
        if not model._meta.proxy and not hasattr(model, "pgcraft_owner"):
            same[model._meta.db_table.encode(errors="replace")[:MAX_BYTES]].append(model)
    for group in same.values():
        if len({model._meta.db_table for model in group}) > 1 and ours.intersection(group):
            longest = max(group, key=lambda model: (len(model._meta.db_table), model._meta.label))
            yield error(
                "E025",
                f"PostgreSQL keeps {MAX_BYTES} bytes of a name, so the tables of these models would be one: "
                f"{', '.join(sorted(model._meta.label for model in group))}.",
                hint=f"Write db_table = {source(longest._meta.label_lower.replace('.', '_')[:40])} in class Meta of "
                f"{longest._meta.label}",
                obj=longest._meta.auto_created or longest,
            )


def _migrations(apps: Apps) -> Iterator[CheckMessage]:
    first: dict[str, type[models.Model]] = {}
    for model in apps.get_models():
        if is_factory_model(model):
            first.setdefault(model._meta.app_label, model)
    for label, model in first.items():
        if not has_migrations(apps, label):
            yield warning(
                "W001",
                f"The app {label!r} has no migrations, so its tables stay in public, without views and triggers.",
                hint=f"Run manage.py makemigrations {label}",
                obj=model,
            )


def has_migrations(apps: Apps, label: str) -> bool:
    """Tell whether the app has a package of migrations, or the project has switched them off on purpose."""
    default = f"{apps.get_app_config(label).name}.migrations"
    name = settings.MIGRATION_MODULES.get(label, default)
    if name is None:
        return True
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        return False
    return spec is not None and spec.has_location
