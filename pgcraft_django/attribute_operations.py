"""Migration operations on the attributes of entities, where Django's know only columns.

A model whose relation is a view is unmanaged in migrations: Django's operations change its state, and nothing else.
These change values too, as Django's do with the values of a column. Their import path is permanent.
"""

import re
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.fields import AddField, AlterField, RemoveField, RenameField
from django.db.migrations.state import ProjectState
from django.db.migrations.utils import resolve_relation

from pgcraft_django.columns import AnyField, column_name, column_type
from pgcraft_django.factories.eav.document import (
    DATA,
    DOCUMENT,
    DOCUMENT_MODEL,
    ENTITY,
    ENTITY_MODEL,
    LOG_MODEL,
    DocumentField,
)
from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.operations import AlterFieldType, change_rows, runs_here

_CONVERTED = "pgcraft_converted"


def view_models(state: ProjectState) -> set[tuple[str, str]]:
    """Return app label and lower-case name of the models of a state that are views over entities."""
    found = {(label, name.removesuffix(ENTITY_MODEL)) for label, name in state.models if name.endswith(ENTITY_MODEL)}
    return {
        (label, name)
        for label, name in found & state.models.keys()
        if isinstance(state.models[label, f"{name}{ENTITY_MODEL}"].fields.get(DATA), DocumentField)
    }


class _OfAttribute:
    """What the operations of this module share."""

    def reduce(self: Any, operation: Operation, app_label: str) -> bool | list[Operation]:
        """Squash as Django's operation does, but stay what it is: Django would make its own of it."""
        reduced: bool | list[Any] = super().reduce(operation, app_label)  # type: ignore[misc]
        if isinstance(reduced, bool):
            return reduced
        kind = type(self)
        return [
            kind(item.model_name, item.name, item.field, item.preserve_default)
            if type(item) in (AddField, AlterField) and issubclass(kind, type(item))
            else item
            for item in reduced
        ]

    def _rename_in_log(
        self: Any,
        app_label: str,
        editor: BaseDatabaseSchemaEditor,
        states: tuple[ProjectState, ProjectState],
        names: tuple[str, str],
    ) -> None:
        """Let the lines of the log follow, as the column of a history would."""
        log = states[1].apps.get_model(app_label, f"{self.model_name}{LOG_MODEL}")
        old, new = (
            state.apps.get_model(app_label, self.model_name)._meta.get_field(name).column
            for state, name in zip(states, names, strict=True)
        )
        if old == new or not runs_here(self, editor, log):
            return
        table = quote_name(log._meta.db_table)
        renamed = f"attribute = {quote_text(new)} WHERE attribute = {quote_text(old)}"
        # Not the guard by its name: it has gone already where the table moves, or gets another name, too.
        for statement in (
            f"ALTER TABLE {table} DISABLE TRIGGER USER",
            f"UPDATE {table} SET {renamed}",
            f"ALTER TABLE {table} ENABLE TRIGGER USER",
        ):
            editor.execute(statement, params=None)

    def _fill(
        self: Any, app_label: str, editor: BaseDatabaseSchemaEditor, to_state: ProjectState, field: AnyField
    ) -> None:
        """Give entities that are there the default of a new or newly required attribute."""
        model = to_state.apps.get_model(app_label, self.model_name)
        entity = to_state.apps.get_model(app_label, f"{self.model_name}{ENTITY_MODEL}")
        if not runs_here(self, editor, entity):
            return
        field = field.clone()
        field.set_attributes_from_name(self.name)
        field.model = model
        if field.is_relation:  # it has to know the model, and not only its name
            field.remote_field = model._meta.get_field(self.name).remote_field
        value = editor.effective_default(field)
        sql, parameters = "%s", [value]
        if value is None and field.has_db_default():
            sql, parameters = editor.db_default_sql(field)
        if sql != "%s" or parameters[0] is not None:
            column = quote_name(model._meta.get_field(self.name).column)
            target, place = (column, column) if field.is_relation else (f"{DATA}.{column}", f"({DATA}).{column}")
            table = quote_name(entity._meta.db_table)
            target, place, table = (item.replace("%", "%%") for item in (target, place, table))
            change_rows(editor, f"UPDATE {table} SET {target} = {sql} WHERE {place} IS NULL", parameters)


class AddAttribute(_OfAttribute, AddField):
    """Django's `AddField` for a model whose relation is a view: entities that are there get the default."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._fill(app_label, schema_editor, to_state, self.field)


class AlterAttribute(_OfAttribute, AlterField):
    """Django's `AlterField` for such a model: the lines of the log follow an attribute to another column.

    So do the values where an attribute becomes a foreign key, which is a column, or the other way round. And where NULL
    is no longer allowed, what is NULL becomes the default.
    """

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._rename_in_log(app_label, schema_editor, (from_state, to_state), (self.name, self.name))
        old, new = (
            state.apps.get_model(app_label, self.model_name)._meta.get_field(self.name)
            for state in (from_state, to_state)
        )
        if old.is_relation != new.is_relation:
            self._move_values(app_label, schema_editor, to_state, old, new)
        if old.null and not new.null:
            self._fill(app_label, schema_editor, to_state, self.field)

    def _move_values(
        self,
        app_label: str,
        editor: BaseDatabaseSchemaEditor,
        to_state: ProjectState,
        old: AnyField,
        new: AnyField,
    ) -> None:
        """Take the values from an attribute to a column, or back. Both are there as long as this operation runs."""
        entity = to_state.apps.get_model(app_label, f"{self.model_name}{ENTITY_MODEL}")
        if not runs_here(self, editor, entity):
            return
        before, after = (quote_name(column_name(field)) for field in (old, new))
        source = before if old.is_relation else f"({DATA}).{before}"
        target = after if new.is_relation else f"{DATA}.{after}"
        change_rows(
            editor,
            f"UPDATE {quote_name(entity._meta.db_table)} SET {target} = {source}::{_plain_type(new)}\n"
            f"WHERE {source} IS NOT NULL",
        )


class RemoveAttribute(_OfAttribute, RemoveField):
    """Django's `RemoveField` for such a model. Backwards, the log has the values that the attribute had last.

    What a migration filled in or converted is not in the log until then.
    """

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        if not (names := self._names(app_label, schema_editor, from_state)):
            return
        entity, log, key, attribute, column = names
        change_rows(
            schema_editor,
            f"INSERT INTO {log} ({key}, step, attribute, old_value, new_value, at, operation)\n"
            f"SELECT unlogged.{key}, coalesce(latest.step, 0) + 1, {attribute}, old_value, new_value,\n"
            "    greatest(pg_catalog.clock_timestamp(), latest.at + interval '1 microsecond'), 'update'\n"
            "FROM (\n"
            f"    SELECT entity.{key}, former.new_value AS old_value, now.new_value\n"
            f"    FROM {entity} AS entity\n"
            f"    CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb((entity.{DATA}).{column}) AS new_value) AS now\n"
            f"    LEFT JOIN ({_last_values(log, key, attribute)}) AS former ON former.{key} = entity.{key}\n"
            "    WHERE now.new_value IS DISTINCT FROM former.new_value\n"
            ") AS unlogged\n"
            "LEFT JOIN LATERAL (\n"
            f"    SELECT step, at FROM {log} AS line WHERE line.{key} = unlogged.{key} ORDER BY step DESC LIMIT 1\n"
            ") AS latest ON true",
        )

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        field = to_state.apps.get_model(app_label, self.model_name)._meta.get_field(self.name)
        if names := self._names(app_label, schema_editor, to_state):
            entity, log, key, attribute, column = names
            document = to_state.apps.get_model(app_label, f"{self.model_name}{DOCUMENT_MODEL}")
            named = f"pg_catalog.jsonb_build_object({attribute}, former.new_value)"
            record = f"pg_catalog.jsonb_populate_record(NULL::{quote_name(document._meta.db_table)}, {named})"
            # Not by the record, where null of JSON would be NULL.
            value = "former.new_value" if column_type(field) == "jsonb" else f"({record}).{column}"
            change_rows(
                schema_editor,
                f"UPDATE {entity} AS entity SET {DATA}.{column} = {value}\n"
                f"FROM ({_last_values(log, key, attribute)}) AS former\n"
                f"WHERE former.{key} = entity.{key} AND former.new_value IS NOT NULL",
            )
        if not field.null:  # otherwise nothing tells those that came later from those that had NULL
            self._fill(app_label, schema_editor, to_state, field)

    def _names(
        self, app_label: str, editor: BaseDatabaseSchemaEditor, state: ProjectState
    ) -> tuple[str, str, str, str, str] | None:
        """Return tables of entities and log, key, attribute as a text and as a column; None for what is none."""
        field = state.apps.get_model(app_label, self.model_name)._meta.get_field(self.name)
        entity, log = (
            state.apps.get_model(app_label, f"{self.model_name}{suffix}") for suffix in (ENTITY_MODEL, LOG_MODEL)
        )
        if field.is_relation or not runs_here(self, editor, entity):
            return None
        tables = quote_name(entity._meta.db_table), quote_name(log._meta.db_table)
        return *tables, quote_name(entity._meta.pk.column), quote_text(field.column), quote_name(field.column)


def _last_values(log: str, key: str, attribute: str) -> str:
    """Return the query of what the log says of an attribute last, for each entity."""
    lines = f"{log} WHERE attribute = {attribute}"
    return f"SELECT DISTINCT ON ({key}) {key}, new_value FROM {lines} ORDER BY {key}, log_id DESC"


class RenameAttribute(_OfAttribute, RenameField):
    """Django's `RenameField` for such a model: the lines of the log follow."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._rename_in_log(app_label, schema_editor, (from_state, to_state), (self.old_name, self.new_name))

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._rename_in_log(app_label, schema_editor, (from_state, to_state), (self.new_name, self.old_name))


class AlterAttributeType(_OfAttribute, AlterField):
    """Django's `AlterField` for the type of documents: a column of another type, to which all values are converted.

    PostgreSQL does not change the type of a column whose table is itself the type of a column.
    """

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if not runs_here(self, schema_editor, model):
            return
        old_model = from_state.apps.get_model(app_label, self.model_name)
        old, new = old_model._meta.get_field(self.name), model._meta.get_field(self.name)
        document = quote_name(model._meta.db_table)
        entity = quote_name(model._meta.db_table.removesuffix(DOCUMENT) + ENTITY)
        before, after, between = quote_name(old.column), quote_name(new.column), quote_name(_CONVERTED)
        converted = new.clone()
        converted.db_column = None
        converted.set_attributes_from_name(_CONVERTED)
        converted.model = model
        schema_editor.add_field(model, converted)
        kind = _plain_type(new)
        change_rows(
            schema_editor,
            f"UPDATE {entity} SET {DATA}.{between} = ({DATA}).{before}::{kind} WHERE ({DATA}).{before} IS NOT NULL",
        )
        for statement in (
            f"ALTER TABLE {document} DROP COLUMN {before}",
            f"ALTER TABLE {document} RENAME COLUMN {between} TO {after}",
        ):
            schema_editor.execute(statement, params=None)


def _plain_type(field: AnyField) -> str:
    """Return a type to which a cast converts: what is too long for the column is an error then, and is not cut."""
    return re.sub(r"\(.*?\)", "", column_type(field).partition(" COLLATE ")[0])


class AlterKey(_OfAttribute, AlterFieldType):
    """Django's `AlterField` for another type of a key that views refer to, or of the key behind a view.

    With a key, Django alters the columns that refer to it. But a column of a view cannot be altered, and what refers to
    a view refers to the table behind it in the database, though not in the state.
    """

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        super().database_forwards(app_label, schema_editor, _behind_views(from_state), _behind_views(to_state))


def _behind_views(state: ProjectState) -> ProjectState:
    """Return a state in which views refer to nothing, and what refers to one refers to the table behind it."""
    views = view_models(state)
    state = ProjectState({key: model.clone() for key, model in state.models.items()}, state.real_apps)
    for key, model in state.models.items():
        for name, field in list(model.fields.items()):
            if not field.is_relation or not field.remote_field.model:
                continue
            if key in views:
                del model.fields[name]
            elif (target := resolve_relation(field.remote_field.model, *key)) in views:
                model.fields[name] = field = field.clone()
                field.remote_field.model = f"{'.'.join(target)}{ENTITY_MODEL}"
    return state
