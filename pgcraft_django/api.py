"""`API(...)`: how a model is exposed.

A resource is a view in the API schema that selects straight from the model's table, so that PostgreSQL can write
through it and PostgREST can see the foreign keys and defaults behind it. Privileges are those of the role that
asks: it gets exactly the exposed columns of the table and of the view, and no access to the table's schema.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import models
from django.utils import translation

from pgcraft_django.columns import AnyField, column_name, column_type
from pgcraft_django.conf import get_config, is_names
from pgcraft_django.naming import is_identifier, quote_name
from pgcraft_django.objects import Comment, DatabaseObject, Role, Schema, SchemaGrant, TableGrant, View

PRIVILEGES = ("select", "insert", "update", "delete")
ALL = "all"

Grants = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class API:
    """How a model appears in the API.

    `name` is the resource (default: the table's name), `schema` the exposed schema (default: `API_SCHEMA`).
    `columns` lists what is exposed, `exclude` what is not; both take names of fields or columns. `grants` maps a
    role to a list of `select`, `insert`, `update`, `delete`, or to `"all"` (default: `DEFAULT_GRANTS`).
    """

    name: str | None = None
    schema: str | None = None
    columns: Sequence[str] | None = None
    exclude: Sequence[str] | None = None
    grants: Grants | None = None


@dataclass(frozen=True)
class Resource:
    """One API of one model, with every default filled in."""

    model: type[models.Model]
    app_label: str
    """The app whose migrations make it."""
    table_schema: str
    schema: str
    name: str
    fields: tuple[AnyField, ...]
    grants: Mapping[str, tuple[str, ...]]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column_name(field) for field in self.fields)

    def roles(self, privilege: str) -> set[str]:
        """Return the roles that have `privilege`."""
        return {role for role, privileges in self.grants.items() if privilege in privileges}


def expand(privileges: str | Sequence[str]) -> tuple[str, ...]:
    """Return the privileges meant by `"all"` or a list, in one order; by anything else, none."""
    if privileges == ALL:
        return PRIVILEGES
    return tuple(privilege for privilege in PRIVILEGES if is_names(privileges) and privilege in privileges)


def field_names(model: type[models.Model]) -> dict[str, AnyField]:
    """Return the model's own columns by every name an `API` may use: field, attribute and column."""
    fields = model._meta.concrete_model._meta.local_concrete_fields  # type: ignore[union-attr]
    return {name: field for field in fields for name in (column_name(field), field.attname, field.name)}


def exposed_fields(model: type[models.Model], api: API) -> tuple[AnyField, ...]:
    """Return the fields that `api` exposes, in its order; what it gets wrong is left to the system checks."""
    if not all(names is None or is_names(names) for names in (api.columns, api.exclude)):
        return ()
    known = field_names(model)
    named = known if api.columns is None else api.columns
    hidden = {known[name] for name in api.exclude or () if name in known}
    fields = dict.fromkeys(known[name] for name in named if name in known)
    return tuple(field for field in fields if field not in hidden and is_identifier(column_name(field)))


def make_resource(model: type[models.Model], api: API, *, app_label: str, table_schema: str) -> Resource:
    """Fill in the defaults of `api`."""
    config = get_config()
    grants = config.default_grants if api.grants is None else api.grants
    if not isinstance(grants, Mapping):
        grants = {}
    roles = sorted(role for role in grants if is_identifier(role))
    return Resource(
        model=model,
        app_label=app_label,
        table_schema=table_schema,
        schema=api.schema or config.api_schema,
        name=api.name or model._meta.db_table,
        fields=exposed_fields(model, api),
        grants={role: expand(grants[role]) for role in roles if expand(grants[role])},
    )


def resource_objects(resource: Resource) -> list[DatabaseObject]:
    """Return the view with all it needs, but without the grants on the table (see `table_grants`)."""
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


def table_grants(resources: Iterable[Resource]) -> list[DatabaseObject]:
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
    """Deleting is a privilege on the whole row, and nobody writes a generated column."""
    return privilege == "select" or (privilege != "delete" and not field.generated)


def _view(resource: Resource) -> View:
    table = quote_name(resource.table_schema, resource.model._meta.db_table)
    lines = ",\n".join(f"    {quote_name(column)}" for column in resource.columns)
    return View(
        schema=resource.schema,
        name=resource.name,
        query=f"SELECT\n{lines}\nFROM {table}",
        reads={table: {column_name(field): column_type(field) for field in resource.fields}},
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
    # Django writes a docstring of its own, `Model(field, field)`, where there is none.
    generated = f"{model.__name__}({', '.join(field.name for field in model._meta.fields)})"
    doc = model.__doc__ or ""
    return "" if doc == generated else inspect.cleandoc(doc)
