"""The declaration: two columns on the model, and the history beside it."""

from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

from django.core.checks import CheckMessage
from django.db import models
from django.db.models.expressions import DatabaseDefault
from django.db.models.functions import Now

from pgcraft_django.api import declared_api, declared_apis, is_api
from pgcraft_django.columns import is_virtual
from pgcraft_django.factories.append_only.objects import STAMPS, history_objects
from pgcraft_django.factories.append_only.queries import HistoryManager
from pgcraft_django.factories.append_only.versions import History, Version, VersionManager
from pgcraft_django.factories.base import Factory, PGCraftModel, is_redefined
from pgcraft_django.factories.companion import add_history, check_history, make_companion, plain_copy, titles
from pgcraft_django.factories.fixtures import LoadedModel
from pgcraft_django.messages import error, renamed, source
from pgcraft_django.naming import shorten
from pgcraft_django.objects import DatabaseObject

_Field = TypeVar("_Field", bound="models.Field[Any, Any]")


class HistoryFactory(Factory):
    """The rows of the history can only be read, whatever its API grants."""

    privileges = frozenset({"select"})


class AppendOnlyFactory(Factory):
    """Adds the history."""

    options = Factory.options | {"history_api"}
    stamped = ignored = frozenset(STAMPS)

    def prepare(self, model: type[models.Model]) -> None:
        fields = {}
        for field in model._meta.local_concrete_fields:
            if field.name in STAMPS:
                _share_default(field)
            else:
                fields[field.name] = plain_copy(field)
        keys = [field.name for field in model._meta.pk_fields]
        name = shorten(f"{model._meta.db_table}_history_version")
        meta = {
            "constraints": [models.UniqueConstraint(fields=[*keys, "version"], name=name)],
            "indexes": [models.Index(fields=["valid_to"])],
            "ordering": [*keys, "version"],
            **titles(model, "version of {name}", "versions of {names}"),
        }
        api = declared_apis(model, "history_api")
        history = make_companion(model, "History", fields, meta=meta, api=api, base=HistoryModel)
        model.pgcraft_history = history  # type: ignore[attr-defined]
        add_history(model, History(history))

    def objects(self, model: type[models.Model], schema: str) -> Iterator[DatabaseObject]:
        return history_objects(model, model.pgcraft_history, schema)  # type: ignore[attr-defined]

    def check(self, model: type[models.Model]) -> Iterator[CheckMessage]:
        yield from check_history(model, History, "E061")
        own = {field.name for field in HistoryModel._meta.local_fields}
        for field in model._meta.local_fields:
            taken = is_redefined(field, PGCraftAppendOnly) if field.name in STAMPS else field.name in own
            if taken or field.db_column in own:
                what = f"field {field.name!r}" if taken else f"column {field.db_column!r}"
                name = renamed(field.name, model) if taken else field.name
                other = renamed(str(field.db_column), model)
                column = f"(db_column={source(other)})" if field.db_column in own else ""
                yield error(
                    "E061",
                    f"The {what} has a name that the history needs for itself.",
                    hint=f"Write {name} = …{column}",
                    obj=model,
                )
            if is_virtual(field):
                yield error(
                    "E063",
                    f"PostgreSQL computes the field {field.name!r} when it is read, so its former values are not known "
                    "to the history.",
                    hint=f"Write {field.name} = …(db_persist=True)",
                    obj=model,
                )
        api = declared_api(model, "history_api")
        if not is_api(api):
            yield error(
                "E062",
                f"history_api in class PGCraft is of type {type(api).__name__}; it must be an API, a list of them, or "
                "None.",
                hint='Write history_api = API(grants={"webuser": ["select"]})',
                obj=model,
            )


def _last(field: _Field) -> _Field:
    """Let the field come behind those of the models that inherit it, in the table and in `Model(1, "a", …)`.

    PostgreSQL reads a row from its first column on, so what is asked for least is best last. Django counts the fields
    as they are made, and sorts them by this number.
    """
    field.creation_counter += 1_000_000_000
    return field


def _share_default(field: Any) -> None:
    """Give each new row the same object for what the database will fill in, as Django does from 6.1 on."""
    default = field.get_default()
    if isinstance(default, DatabaseDefault):
        field._get_default = lambda: default


class HistoryModel(Version, LoadedModel, PGCraftModel):
    """Abstract base of histories: what is known of a former version beside its columns."""

    pgcraft_factory: ClassVar[Factory] = HistoryFactory()

    history_id = models.BigAutoField(primary_key=True)
    version = _last(models.IntegerField(editable=False))
    valid_from = _last(models.DateTimeField(editable=False))
    valid_to = _last(models.DateTimeField(editable=False))
    operation = _last(
        models.CharField(max_length=6, editable=False, choices=[("update", "update"), ("delete", "delete")])
    )
    actor = _last(models.TextField(null=True, editable=False))
    reason = _last(models.TextField(null=True, editable=False))

    objects = VersionManager()

    class Meta(PGCraftModel.Meta):
        abstract = True


class PGCraftAppendOnly(PGCraftModel):
    """A table of which nothing is ever overwritten: `history` has every former version of its rows."""

    pgcraft_factory: ClassVar[Factory] = AppendOnlyFactory()

    version = _last(models.IntegerField(db_default=1, editable=False, help_text="Counts the versions of the row."))
    valid_from = _last(models.DateTimeField(db_default=Now(), editable=False, help_text="When this version began."))

    objects = HistoryManager()
    history: ClassVar[History]
    """Its former versions: of all rows, or of one."""

    class Meta(PGCraftModel.Meta):
        abstract = True
