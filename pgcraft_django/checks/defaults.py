"""Whether the inserts and upserts that an API grants can work: what PostgreSQL has to know, Python must not keep.

Django fills in `default=`, `auto_now` and `auto_now_add` in Python, so that a row that comes through the API lacks
them unless the column has a `db_default` too. Factories share constants with the database by themselves.
"""

import datetime
import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.core.checks import CheckMessage
from django.db import models
from django.db.models.fields import NOT_PROVIDED
from django.utils import timezone
from django.utils.functional import Promise

from pgcraft_django.api import Resource, own_fields
from pgcraft_django.factories.base import constant_default, database_default
from pgcraft_django.messages import listed, source, warning
from pgcraft_django.naming import quote_name, quote_text

NOW = "Now()", "now()"
KNOWN = (
    (timezone.now, NOW),
    (timezone.localdate, NOW),
    (datetime.datetime.now, NOW),
    (datetime.date.today, NOW),
    (uuid.uuid4, ("RandomUUID()", "gen_random_uuid()")),
)
"""Functions whose results PostgreSQL can make too: as a `db_default`, and in SQL."""


def check_inserts(resource: Resource) -> Iterator[CheckMessage]:
    """Judge the privileges to insert and to update of one resource."""
    if inserting := sorted(resource.roles("insert")):
        yield from _defaults(resource, inserting)
        yield from _hidden(resource, inserting)
    if (upserting := sorted(resource.roles("insert") & resource.roles("update"))) and not _has_key(resource):
        keys = [field.name for field in resource.model._meta.pk_fields]
        names = [*keys, *(field.name for field in resource.fields)]
        yield warning(
            "W004",
            f"{listed(upserting)} may insert and update {source(resource.name)}, but no unique key is exposed: nobody "
            "can say which row is meant, and upserts fail.",
            hint=f"Write API(columns={source(names)})",
            obj=resource.model,
        )


def _defaults(resource: Resource, roles: list[str]) -> Iterator[CheckMessage]:
    unknown = [field for field in resource.fields if _only_in_python(field)]
    if unknown:
        yield warning(
            "W002",
            f"{listed(roles)} may insert into {source(resource.name)}, but PostgreSQL does not know the default of "
            f"{listed(field.name for field in unknown)}: rows that come without it are refused, or get NULL.",
            hint=f"Write {_line(resource, unknown)}",
            obj=resource.model,
        )


def _hidden(resource: Resource, roles: list[str]) -> Iterator[CheckMessage]:
    required = [
        field
        for field in own_fields(resource.model)
        if field not in resource.fields
        and not (field.null or field.generated or _has_default(field) or isinstance(field, models.AutoField))
    ]
    if required:
        yield warning(
            "W003",
            f"{listed(roles)} may insert into {source(resource.name)}, but it does not expose "
            f"{listed(field.name for field in required)}, which every row needs: every insert fails.",
            hint=f"Expose it, or write {_line(resource, required)}",
            obj=resource.model,
        )


def _only_in_python(field: "models.Field[Any, Any]") -> bool:
    """Tell whether Django would fill in a value that the database does not know."""
    if _has_default(field) or field.generated or isinstance(field, models.AutoField):
        return False
    return _is_stamped(field) or (field.has_default() and field.default is not None)


def _has_default(field: "models.Field[Any, Any]") -> bool:
    return database_default(field) is not NOT_PROVIDED


def _is_stamped(field: "models.Field[Any, Any]") -> bool:
    return bool(getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False))


def _line(resource: Resource, fields: list["models.Field[Any, Any]"]) -> str:
    """Return the line that tells PostgreSQL the defaults: in the model, or for another app's in a migration."""
    if resource.app_label == resource.model._meta.app_label:
        return ", ".join(f"{field.name} = …(db_default={_equivalent(field)[0]})" for field in fields)
    table = quote_name(resource.table_schema, resource.model._meta.db_table)
    columns = [(quote_name(field.column), _equivalent(field)[1]) for field in fields]
    there = ", ".join(f"ALTER COLUMN {column} SET DEFAULT {value}" for column, value in columns)
    back = ", ".join(f"ALTER COLUMN {column} DROP DEFAULT" for column, _ in columns)
    return (
        f"migrations.RunSQL({source(f'ALTER TABLE {table} {there}')}, {source(f'ALTER TABLE {table} {back}')}) "
        f"in a migration of {resource.app_label}"
    )


def _equivalent(field: "models.Field[Any, Any]") -> tuple[str, str]:
    """Return what the database would need to do as Python does: as a `db_default`, and in SQL."""
    if _is_stamped(field):
        return NOW
    for function, equivalent in KNOWN:
        if field.default == function:
            return equivalent
    value = constant_default(field)
    if isinstance(value, Promise):
        value = str(value)
    if value is NOT_PROVIDED or value is None:
        return "…", "…"
    if isinstance(value, dict | list):
        return repr(value), quote_text(json.dumps(value, default=str))
    if isinstance(value, str | int | float | Decimal | datetime.date | datetime.time | uuid.UUID):
        return repr(value), quote_text(str(value).replace("\x00", ""))
    return "…", "…"


def _has_key(resource: Resource) -> bool:
    """Tell whether some unique key is wholly exposed."""
    meta = resource.model._meta
    names = {field.name for field in resource.fields}
    keys = [{field.name for field in meta.pk_fields}]
    keys += [{field.name} for field in meta.local_concrete_fields if field.unique]
    keys += [set(names) for names in meta.unique_together]
    keys += [
        set(item.fields)
        for item in meta.constraints
        if isinstance(item, models.UniqueConstraint) and item.fields and item.condition is None
    ]
    return any(key <= names for key in keys)
