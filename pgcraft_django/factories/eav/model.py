"""The declaration: three companion models beside a model whose fields are attributes."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from django.core.checks import CheckMessage
from django.db import models

from pgcraft_django.api import Resource, declared_apis, own_fields
from pgcraft_django.columns import AnyField
from pgcraft_django.factories.base import Factory, PGCraftModel, Source
from pgcraft_django.factories.companion import Derived, add_history, check_history, make_companion, plain_copy, titles
from pgcraft_django.factories.eav.as_caller import caller_grants, caller_objects, columns_behind, has_policies
from pgcraft_django.factories.eav.checks import check_model, is_possible
from pgcraft_django.factories.eav.document import DATA, ENTITY, DocumentField, has_extra, is_column, stored, varies
from pgcraft_django.factories.eav.extra import add_extra, extra_objects
from pgcraft_django.factories.eav.objects import Parts, as_column, relation_objects, write_objects
from pgcraft_django.factories.eav.orm import EAVManager, History, LogManager, SavesEntities
from pgcraft_django.factories.eav.sql import condition_sql
from pgcraft_django.factories.eav.upsert import upsert_objects
from pgcraft_django.factories.eav.validating import validate_extra
from pgcraft_django.factories.foreign_key import PGCraftForeignKey, database_action
from pgcraft_django.naming import quote_name, shorten
from pgcraft_django.objects import DatabaseObject


class BehindFactory(Factory):
    """The table of entities has the model's own policies, and that of documents no rows."""

    is_protected = False


class BehindModel(Derived, PGCraftModel):
    """Abstract base of the companions."""

    pgcraft_factory: ClassVar[Factory] = BehindFactory()

    class Meta(PGCraftModel.Meta):
        abstract = True


class LogFactory(Factory):
    """The lines of the log can only be read, whatever its API grants."""

    privileges = frozenset({"select"})
    former = "former"

    def tells(self, owner: type[models.Model]) -> Mapping[str, Sequence[str]]:
        return {field.name: ["old_value", "new_value"] for field in own_fields(owner)}


class _ExactDecoder(json.JSONDecoder):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "parse_float": Decimal})


class _ExactEncoder(json.JSONEncoder):
    """Writes a `Decimal` with all digits, as a number."""

    def default(self, value: Any) -> Any:
        return f"\0{value}\0" if isinstance(value, Decimal) else super().default(value)

    def encode(self, value: Any) -> str:
        # No text of a document has that character.
        return re.sub(r'"\\u0000(.+?)\\u0000"', r"\1", super().encode(value))


class LoggedField(models.JSONField):
    """A value of any attribute. A number with a fraction is a `Decimal`: a float would not keep all digits."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "decoder": _ExactDecoder, "encoder": _ExactEncoder})

    def deconstruct(self) -> Any:
        """Return what a plain `JSONField` is: how values are read and written is none of a migration's business."""
        name, _, arguments, options = super().deconstruct()
        del options["decoder"], options["encoder"]
        return name, "django.db.models.JSONField", arguments, options


class LogModel(BehindModel):
    """Abstract base of logs: which attribute has changed, from what to what, when, and who did it."""

    pgcraft_factory: ClassVar[Factory] = LogFactory()

    log_id = models.BigAutoField(primary_key=True)
    step = models.IntegerField(editable=False, help_text="Counts the lines about a key.")
    former = models.BooleanField(
        db_default=False, editable=False, help_text="Whether another row has taken the key since."
    )
    attribute = models.TextField(editable=False)
    old_value = LoggedField(null=True, editable=False)
    new_value = LoggedField(null=True, editable=False)
    at = models.DateTimeField(editable=False)
    actor = models.TextField(null=True, editable=False)
    reason = models.TextField(null=True, editable=False)
    operation = models.CharField(
        max_length=6, editable=False, choices=[(name, name) for name in ("insert", "update", "delete")]
    )

    objects = LogManager()

    class Meta(BehindModel.Meta):
        abstract = True


class EAVFactory(Factory):
    """Makes the model's relation a view over entities."""

    options = Factory.options | {"attribute_api", "extra", "extra_api"}
    has_view = True

    def prepare(self, model: type[models.Model]) -> None:
        if not is_possible(model):
            return
        if has_extra(model):
            add_extra(model, declared_apis(model, "extra_api"))
        key: Any = model._meta.pk
        fields: list[AnyField] = list(model._meta.local_concrete_fields)
        attributes = sorted((field for field in fields if not is_column(field)), key=varies)
        document = {field.name: _attribute(field) for field in attributes}
        make_companion(
            model, "Document", {"pgcraft_key": models.SmallIntegerField(primary_key=True), **document}, base=BehindModel
        )
        columns = {field.name: _reference(field) for field in fields if field.is_relation}
        entity = {key.name: key.clone(), **columns, DATA: DocumentField(null=True, editable=False)}
        model.pgcraft_entity = make_companion(model, "Entity", entity, base=BehindModel)  # type: ignore[attr-defined]
        meta = {
            "constraints": [
                models.UniqueConstraint(
                    fields=[key.name, "step"], name=shorten(f"{model._meta.db_table}_attribute_step")
                )
            ],
            "ordering": ["log_id"],
            **titles(model, "change of {name}", "changes of {names}"),
        }
        api = declared_apis(model, "attribute_api")
        log = make_companion(model, "Attribute", {key.name: plain_copy(key)}, meta=meta, api=api, base=LogModel)
        add_history(model, History(log))

    def source(self, model: type[models.Model], schema: str, fields: Sequence[AnyField]) -> Source:
        table = f"{model._meta.db_table}{ENTITY}"
        reads = stored(model, schema, fields)
        selected = [as_column(field) for field in fields]
        return Source(table, list(reads[quote_name(schema, table)]), selected, reads)

    def objects(self, model: type[models.Model], schema: str) -> Iterator[DatabaseObject]:
        if not is_possible(model):
            return
        parts = Parts(model, schema)
        yield from relation_objects(parts)
        yield from _write_objects(parts, schema, parts.name, parts.fields)
        if has_extra(model):
            yield from extra_objects(parts)

    def api_objects(self, resource: Resource) -> Iterator[DatabaseObject]:
        model: Any = resource.model._meta.concrete_model
        if is_possible(model) and any(resource.roles(privilege) for privilege in ("insert", "update", "delete")):
            parts = Parts(model, resource.table_schema)
            yield from _write_objects(parts, resource.schema, resource.name, resource.fields)
            if has_policies(model):
                yield from caller_grants(parts, resource)
            yield from upsert_objects(parts, resource)

    def privileges_behind(self, resource: Resource, privilege: str) -> Iterator[tuple[str, list[str]]]:
        # To find the rows, also those to write, whoever asks has to read.
        if privilege != "insert":
            yield "select", self.source(resource.model, resource.table_schema, resource.fields).held
        if has_policies(resource.model) and is_possible(resource.model):
            yield privilege, columns_behind(Parts(resource.model, resource.table_schema), resource.fields, privilege)

    def condition_sql(self, model: type[models.Model], condition: models.Q) -> tuple[str, list[AnyField]]:
        return condition_sql(model, condition)

    def check(self, model: type[models.Model]) -> Iterator[CheckMessage]:
        yield from check_model(model)
        if is_possible(model):
            yield from check_history(model, History, "E083")


def _write_objects(parts: Parts, schema: str, view: str, fields: Sequence[AnyField]) -> Iterator[DatabaseObject]:
    write = caller_objects if has_policies(parts.model) else write_objects
    return write(parts, schema, view, fields)


def _attribute(field: AnyField) -> AnyField:
    """Return a column for the type of documents: its name and its type, and nothing that is about the model."""
    copy = plain_copy(field)
    copy.choices = None
    copy.help_text = ""
    copy.db_comment = None  # PostgreSQL would have to set the type again
    copy._validators = []  # type: ignore[attr-defined]
    copy._verbose_name = None  # type: ignore[attr-defined]
    return copy


def _reference(field: Any) -> Any:
    """Return the column of a foreign key in the entity's table."""
    target = field.remote_field.model
    kind: Any = PGCraftForeignKey if isinstance(field, PGCraftForeignKey) else models.ForeignKey
    if field.unique and kind is models.ForeignKey:
        kind = models.OneToOneField
    to_field = field.to_fields[0]
    return kind(
        field.model._meta.label if target == "self" else target,
        on_delete=field.remote_field.on_delete if database_action(field) else models.DO_NOTHING,
        to_field=None if to_field == "self" else to_field,
        related_name="+",
        db_column=field.db_column,
        db_constraint=field.db_constraint,
        null=True,
        blank=True,
        editable=False,
        **({"unique": True} if field.unique else {"db_index": field.db_index}),
        **({"db_default": field.db_default} if database_action(field) == "SET DEFAULT" else {}),
    )


class PGCraftEAV(SavesEntities, PGCraftModel):
    """A model whose fields are attributes: they come and go without ALTER TABLE, and each change is logged."""

    pgcraft_factory: ClassVar[Factory] = EAVFactory()

    objects = EAVManager()
    history: ClassVar[History]
    """The changes of its attributes: of all rows, or of one."""

    class Meta(PGCraftModel.Meta):
        abstract = True

    def validate_constraints(self, exclude: Any = None) -> None:
        """Raise `ValidationError` for what the database would refuse, values in `extra` included."""
        super().validate_constraints(exclude=exclude)
        if has_extra(type(self)):
            validate_extra(self, exclude)
