"""What all factories share: how they shape a model, and defaults that the database knows too."""

import datetime
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.db import models
from django.db.migrations.state import ProjectState
from django.db.models.expressions import DatabaseDefault
from django.db.models.fields import NOT_PROVIDED
from django.db.models.signals import class_prepared
from django.db.models.sql import Query
from django.db.models.sql.where import AND
from django.utils import timezone

from pgcraft_django.api import API, Resource, declared_apis, is_written
from pgcraft_django.columns import AnyField, column_name, column_type, column_types, postgresql
from pgcraft_django.conditions import compiled, compiler_of, condition_sql
from pgcraft_django.conf import get_config
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.messages import error
from pgcraft_django.naming import plain_text, quote_name, quote_value
from pgcraft_django.plugins.base import Plugin, get_plugins

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from pgcraft_django.objects import DatabaseObject

    Instance = TypeVar("Instance", bound=models.Model, covariant=True, default=Any)
    """What a queryset has: with a default, because who inherits from one of ours need not say of which model it is."""
else:
    from typing import TypeVar

    Instance = TypeVar("Instance")


class Source(NamedTuple):
    """What a view selects."""

    table: str
    held: list[str]
    """Columns of the table."""
    columns: list[str]
    """SQL for each column of the view."""
    reads: dict[str, dict[str, str]]
    """Quoted table -> column -> type: what that SQL names."""


class Factory(Plugin):
    """What a kind of model has beside Django's fields: the hooks of a plugin, and what may be declared and granted."""

    options: frozenset[str] = frozenset({"schema", "api", "plugins", "policies"})
    """What `class PGCraft` may say."""
    privileges: frozenset[str] = frozenset({"select", "insert", "update", "delete"})
    """What can be granted at all; `"all"` means these."""
    stamped: frozenset[str] = frozenset()
    """Names of fields that only the database writes: nobody is granted to insert or update them."""
    ignored: frozenset[str] = frozenset()
    """Those among them that a request may send back as it has read them: what it says of them does not count."""
    is_protected: bool = True
    """Whether the policies of the model that a companion belongs to count for it too."""
    former: str | None = None
    """Of a log: the field that is true in lines about a row whose key another row has taken."""
    has_view: bool = False
    """Whether the model's relation is a view: roles read the tables behind it, and triggers write to them."""

    def source(self, model: type[models.Model], schema: str, fields: Sequence[AnyField]) -> Source:
        """Return what the model's API views select from, which is in `schema`."""
        table = quote_name(schema, model._meta.db_table)
        columns = [column_name(field) for field in fields]
        selected = [quote_name(column) for column in columns]
        return Source(model._meta.db_table, columns, selected, {table: column_types(fields)})

    def privileges_behind(self, resource: Resource, privilege: str) -> Iterator[tuple[str, list[str]]]:
        """Yield what a role needs on the columns of the table to have a privilege on an API's view."""
        # Deleting is a privilege on the whole row, and nobody writes what the database does, but for what is ignored.
        columns = [
            column_name(field)
            for field in resource.fields
            if privilege == "select" or (privilege != "delete" and (is_written(field) or field.name in self.ignored))
        ]
        yield privilege, columns

    def condition_sql(self, model: type[models.Model], condition: models.Q) -> tuple[str, list[AnyField]]:
        """Return a condition on rows of the table, and the fields that it reads. Raises `FieldError` if it is none."""
        return condition_sql(model, condition)

    def called(self, model: type[models.Model]) -> str:
        """Return what the name of the model's function of the API ends with, if it has one; `exposed_at` begins it."""
        return ""

    def tells(self, owner: type[models.Model]) -> Mapping[str, Sequence[str]]:
        """Return field of `owner` -> fields of this companion that tell its values without being copies of it."""
        return {}

    def api_objects(self, resource: Resource) -> "Iterable[DatabaseObject]":
        """Return the objects beside the API view of a model."""
        return ()


class PGCraftModel(models.Model):
    """Abstract base of every factory's model."""

    pgcraft_factory: ClassVar[Factory] = Factory()

    class Meta:
        abstract = True

    @classmethod
    def check(cls, **kwargs: Any) -> list[CheckMessage]:
        # Django asks each model itself: without the app, no other check of ours runs, and makemigrations finds nothing.
        if global_apps.is_installed("pgcraft_django"):
            return super().check(**kwargs)
        return [
            error(
                "E028",
                "A factory makes the model, and its app is not installed: it would be an ordinary model.",
                hint='Write "pgcraft_django" in INSTALLED_APPS',
                obj=cls,
            )
        ]

    # Django writes all columns, also those that the database fills and that no role is granted. It writes DEFAULT in an
    # INSERT, and the value that was read in an UPDATE, or in the INSERT of a copy (`row.pk = None; row.save()`), which
    # does not have the past of its original. Here they are left out: PostgreSQL fills them all the same, and nobody
    # needs a privilege on them. `raw` says that the row comes from a fixture.

    def _do_insert(self, manager: Any, using: str, fields: Any, returning_fields: Any, raw: bool) -> Any:
        stamped = () if raw else self.pgcraft_factory.stamped
        given = [
            field
            for field in fields
            if not isinstance(getattr(self, field.attname), DatabaseDefault)
            and (field.name not in stamped or field.primary_key)
        ]
        return super()._do_insert(manager, using, given or fields, returning_fields, raw)  # type: ignore[misc]

    def _do_update(self, base_qs: Any, using: Any, pk_val: Any, values: Any, *args: Any) -> Any:
        stamped = self.pgcraft_factory.stamped
        while values and values[-1][0].name in stamped:  # they come last where rows are updated at all
            values.pop()
        return super()._do_update(_ByKey(base_qs), using, pk_val, values, *args)  # type: ignore[arg-type]


class _ByKey:
    """The rows that `save()` asks for the one with its key.

    Django's `filter(pk=…)` finds out again for each row which column that is: a sixth of what `save()` takes in Python.
    """

    def __init__(self, rows: "models.QuerySet[Any]") -> None:
        self._rows = rows

    def filter(self, *, pk: Any) -> "models.QuerySet[Any]":
        """Do what `QuerySet.filter()` does with a key."""
        rows: Any = self._rows.all()
        key = rows.model._meta.pk.get_col(rows.query.get_initial_alias())
        rows.query.where.add(key.get_lookup("exact")(key, pk), AND)
        return rows  # type: ignore[no-any-return]


def fields_to_insert(rows: Sequence[models.Model], fields: Sequence[Any], stamped: Iterable[str] = ()) -> Sequence[Any]:
    """Return `fields` without those that the database fills in for all of `rows`, and without those in `stamped`.

    Rows that were read and are inserted as copies bring the stamps of their originals, which are not theirs. If no
    field is left, all are returned: an INSERT names at least one.
    """
    given = [
        field
        for field in fields
        if field.name not in stamped
        and not all(isinstance(getattr(row, field.attname), DatabaseDefault) for row in rows)
    ]
    return given or fields


def _prepare(sender: type[models.Model], **kwargs: Any) -> None:
    """Let the factory and the plugins of a new model add to it."""
    _refuse_namesake(sender)
    if issubclass(sender, PGCraftModel) and not sender._meta.proxy:
        for part in (sender.pgcraft_factory, *get_plugins(sender)):
            part.prepare(sender)


def _refuse_namesake(model: type[models.Model]) -> None:
    """Raise `ConfigurationError` if a companion and another model have one name: the last of them would be the model.

    Of one module, Django only warns, as if it was read again; and the table of the first would become the last one's.
    """
    meta: Any = model._meta
    other = meta.apps.all_models[meta.app_label].get(meta.model_name)
    if other is None:
        return
    makers = [item for item in (_maker(other), _maker(model)) if item]
    labels = list(dict.fromkeys(maker._meta.label for maker in makers))
    if not makers or (len(makers) == 2 and len(labels) == 1 and makers[0] is not makers[1]):
        return  # a module is read again
    if len(makers) == 1:
        told = f"one goes with {labels[0]}, which makes it, and the other is yours. Give yours another name."
    else:  # all other companions are called after their kind
        told = f"both go with {' or '.join(labels)}. Give a Balance another name."
    raise ConfigurationError(f"There are two models {meta.label}: {told}")


def _maker(model: Any) -> Any:
    """Return the model that a companion goes with, or None if the model is none."""
    owner = vars(model).get("pgcraft_owner")
    return owner and (_maker(owner) or owner)


class_prepared.connect(_prepare, dispatch_uid="pgcraft_django.factories")


def is_redefined(field: AnyField, base: type[models.Model]) -> bool:
    """Tell whether a field of a model is another one than what it inherits from its abstract `base` by that name."""
    return field.creation_counter != base._meta.get_field(field.name).creation_counter  # type: ignore[union-attr]


def get_factory(model: type[models.Model]) -> Factory:
    """Return the factory of the model; a model that none makes has a plain table."""
    factory: Factory = getattr(model, "pgcraft_factory", None) or Factory()
    return factory


def check_moment(when: object) -> None:
    """Raise `ValueError` unless `when`, which `as_of()` was asked for, is a datetime with a time zone.

    Without `USE_TZ`, datetimes have none.
    """
    if not isinstance(when, datetime.datetime) or (settings.USE_TZ and timezone.is_naive(when)):
        raise ValueError(f"as_of() takes a datetime with a time zone, such as timezone.now(), and not {when!r}.")


def exposed_at(model: type[models.Model]) -> tuple[str, str]:
    """Return the schema of a model's functions in the API, and what their names begin with: as its first `API` says."""
    api = next(iter(declared_apis(model)), API())
    return plain_text(api.schema or get_config().api_schema), plain_text(api.name or model._meta.db_table)


def lookups(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `filter()` that find the rows with `values`, by field: None finds NULL."""
    return dict((f"{name}__isnull", True) if value is None else (name, value) for name, value in values.items())


def constant_default(field: "models.Field[Any, Any]") -> Any:
    """Return the value of the field's `default=` if it is the same for every row, else `NOT_PROVIDED`.

    None is what a column without a default gets anyway.
    """
    default = field.default
    if default is dict and isinstance(field, models.JSONField):
        return {}
    if default is list and _holds_lists(field):
        return []
    if default is None or (callable(default) and not isinstance(default, enum.Enum)):
        return NOT_PROVIDED
    return default.value if isinstance(default, enum.Enum) else default


def _holds_lists(field: "models.Field[Any, Any]") -> bool:
    if isinstance(field, models.JSONField):
        return True
    from django.contrib.postgres.fields import ArrayField  # with forms and psycopg, which most start-ups do without

    return isinstance(field, ArrayField)


def database_default(field: "models.Field[Any, Any]") -> Any:
    """Return what the database puts into the column of a row that comes without it, else `NOT_PROVIDED`.

    A factory's column whose `default=` is a constant has an equal one in the database: Django sets `default=` in
    Python only, so that an insert through the API would not see it.
    """
    if field.has_db_default() or field.generated or field.primary_key or not issubclass(field.model, PGCraftModel):
        return field.db_default
    return constant_default(field)


def default_sql(field: AnyField) -> str | None:
    """Return what the database puts into a row that comes without the field, as SQL, or None."""
    default = database_default(field)
    if default is NOT_PROVIDED:
        return None
    if hasattr(default, "resolve_expression"):
        query = Query(field.model)
        return compiled(default.resolve_expression(query), compiler_of(query))
    value = quote_value(field.get_db_prep_save(default, postgresql()))
    literal = f"({value})" if value.startswith("-") else value  # PostgreSQL casts before it negates
    return f"{literal}::{column_type(field).partition(' COLLATE ')[0]}"


def view_defaults(fields: Iterable[AnyField]) -> dict[str, str]:
    """Return column -> SQL for the values that a row of a view gets which comes without them."""
    found = {column_name(field): default_sql(field) for field in fields if is_written(field)}
    return {column: sql for column, sql in found.items() if sql is not None}


def share_defaults(state: ProjectState, apps: Apps) -> None:
    """Give the columns of factory models in `state` their `database_default` as `db_default`.

    The models themselves stay as they are: with a `db_default` Django would read the column back after each insert.
    """
    for model in apps.get_models():
        key = model._meta.app_label, model._meta.model_name
        if issubclass(model, PGCraftModel) and not model._meta.proxy and key in state.models:
            for field in model._meta.local_concrete_fields:
                if field.name in (fields := state.models[key].fields):  # not `_order` of `order_with_respect_to`
                    fields[field.name].db_default = database_default(field)
