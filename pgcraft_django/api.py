"""`API(...)`: how a model is exposed. What becomes of it in the database is in `declared`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import models

from pgcraft_django.columns import AnyField, column_name
from pgcraft_django.conf import get_config, is_names
from pgcraft_django.naming import is_identifier, plain_text
from pgcraft_django.plugins.base import option

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
    fields = own_fields(model)
    return {name: field for field in fields for name in (column_name(field), field.attname, field.name)}


def is_written(field: AnyField) -> bool:
    """Tell whether anybody but the database may write the field's column."""
    factory = getattr(field.model, "pgcraft_factory", None)
    return not (field.generated or (factory and field.name in factory.stamped))


def own_fields(model: type[models.Model]) -> tuple[AnyField, ...]:
    """Return the fields of the model's own columns, those of tables that it inherits from left out."""
    return tuple(model._meta.concrete_model._meta.local_concrete_fields)  # type: ignore[union-attr]


def exposed_fields(model: type[models.Model], api: API) -> tuple[AnyField, ...]:
    """Return the fields that `api` exposes, in its order; what it gets wrong is left to the system checks."""
    if not all(names is None or is_names(names) for names in (api.columns, api.exclude)):
        return ()
    fields = own_fields(model)
    if api.columns is not None or api.exclude:
        known = field_names(model)
        if api.columns is not None:
            fields = tuple(dict.fromkeys(known[name] for name in api.columns if name in known))
        hidden = {known[name] for name in api.exclude or () if name in known}
        fields = tuple(field for field in fields if field not in hidden)
    return tuple(field for field in fields if is_identifier(column_name(field)))


def make_resource(model: type[models.Model], api: API, *, app_label: str, table_schema: str) -> Resource:
    """Fill in the defaults of `api`."""
    config = get_config()
    grants = config.default_grants if api.grants is None else api.grants
    if not isinstance(grants, Mapping):
        grants = {}
    factory = getattr(model, "pgcraft_factory", None)
    possible = PRIVILEGES if factory is None else tuple(item for item in PRIVILEGES if item in factory.privileges)
    granted = {
        plain_text(role): tuple(item for item in expand(grants[role]) if item in possible)
        for role in sorted(role for role in grants if is_identifier(role))
    }
    return Resource(
        model=model,
        app_label=app_label,
        table_schema=table_schema,
        schema=plain_text(api.schema or config.api_schema),
        name=plain_text(api.name or model._meta.db_table),
        fields=exposed_fields(model, api),
        grants={role: privileges for role, privileges in granted.items() if privileges},
    )


def is_api(declared: object) -> bool:
    """Tell whether `declared` is an API, a list of them, or None."""
    items = declared if isinstance(declared, list | tuple) else [declared]
    return declared is None or all(isinstance(item, API) for item in items)


def as_apis(declared: object) -> tuple[API, ...]:
    """Return one API, a list of them, or None as a tuple; anything else exposes nothing."""
    items = declared if isinstance(declared, list | tuple) else [declared]
    return tuple(item for item in items if isinstance(item, API))


def declared_api(model: type[models.Model], name: str = "api") -> object:
    """Return what the option `name` of `class PGCraft` says, as it was written.

    Without a word a model is exposed, and what its factory makes beside it is not.
    """
    return option(model, name, API() if name == "api" else None)


def declared_apis(model: type[models.Model], name: str = "api") -> tuple[API, ...]:
    """Return the APIs that the option `name` of `class PGCraft` comes to."""
    return as_apis(declared_api(model, name))
