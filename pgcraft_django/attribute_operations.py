"""Migration operations on the attributes of entities, where Django's know only columns.

A model whose relation is a view is unmanaged in migrations: Django's operations change its state, and nothing else.
These change values too, as Django's do with the values of a column. Their import path is permanent.
"""

import re
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.fields import AddField, AlterField, RemoveField, RenameField
from django.db.migrations.state import ProjectState

from pgcraft_django.columns import AnyField, column_type
from pgcraft_django.factories.eav.document import DATA, DOCUMENT, ENTITY, LOG
from pgcraft_django.naming import quote_name, quote_text
from pgcraft_django.objects.trigger import GUARD

_CONVERTED = "pgcraft_converted"


class _FillsAttribute:
    """What gives entities that are there the default of a new or newly required attribute of a model's view."""

    def _fill(
        self: Any, app_label: str, editor: BaseDatabaseSchemaEditor, to_state: ProjectState, field: AnyField
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        entity = to_state.apps.get_model(app_label, f"{self.model_name}{ENTITY.strip('_')}")
        if editor.connection.vendor != "postgresql" or not self.allow_migrate_model(editor.connection.alias, entity):
            return
        field = field.clone()
        field.set_attributes_from_name(self.name)
        field.model = model
        value = editor.effective_default(field)
        sql, parameters = "%s", [value]
        if value is None and field.has_db_default():
            sql, parameters = editor.db_default_sql(field)
        if sql != "%s" or value is not None:
            column = quote_name(model._meta.get_field(self.name).column)
            target, place = (column, column) if field.is_relation else (f"{DATA}.{column}", f"({DATA}).{column}")
            table = quote_name(entity._meta.db_table)
            target, place, table = (item.replace("%", "%%") for item in (target, place, table))
            editor.execute(f"UPDATE {table} SET {target} = {sql} WHERE {place} IS NULL", parameters)


class AddAttribute(_FillsAttribute, AddField):
    """Django's `AddField` for a model whose relation is a view: entities that are there get the default."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._fill(app_label, schema_editor, to_state, self.field)


class RequireAttribute(_FillsAttribute, AlterField):
    """Django's `AlterField` for such a model, where NULL is no longer allowed: what is NULL becomes the default."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._fill(app_label, schema_editor, to_state, self.field)


class RemoveAttribute(_FillsAttribute, RemoveField):
    """Django's `RemoveField` for such a model. Backwards, the log has the values that the attribute had last."""

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        field = model._meta.get_field(self.name)
        entity, document, log = (
            to_state.apps.get_model(app_label, f"{self.model_name}{suffix.strip('_')}")
            for suffix in (ENTITY, DOCUMENT, LOG)
        )
        if schema_editor.connection.vendor != "postgresql" or not self.allow_migrate_model(
            schema_editor.connection.alias, entity
        ):
            return
        if not field.is_relation:
            key, column = quote_name(entity._meta.pk.column), quote_name(field.column)
            named = f"pg_catalog.jsonb_build_object({quote_text(field.column)}, former.new_value)"
            record = f"pg_catalog.jsonb_populate_record(NULL::{quote_name(document._meta.db_table)}, {named})"
            schema_editor.execute(
                f"UPDATE {quote_name(entity._meta.db_table)} AS entity SET {DATA}.{column} = ({record}).{column}\n"
                f"FROM (SELECT DISTINCT ON ({key}) {key}, new_value FROM {quote_name(log._meta.db_table)}\n"
                f"    WHERE attribute = {quote_text(field.column)} ORDER BY {key}, log_id DESC) AS former\n"
                f"WHERE former.{key} = entity.{key} AND former.new_value IS NOT NULL",
                params=None,
            )
        self._fill(app_label, schema_editor, to_state, field)


class RenameAttribute(RenameField):
    """Django's `RenameField` for such a model: the lines of the log follow, as the column of a history would."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._rename(app_label, schema_editor, from_state, to_state, self.old_name, self.new_name)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._rename(app_label, schema_editor, from_state, to_state, self.new_name, self.old_name)

    def _rename(
        self,
        app_label: str,
        editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
        old_name: str,
        new_name: str,
    ) -> None:
        log = to_state.apps.get_model(app_label, f"{self.model_name}{LOG.strip('_')}")
        old, new = (
            state.apps.get_model(app_label, self.model_name)._meta.get_field(name).column
            for state, name in ((from_state, old_name), (to_state, new_name))
        )
        concerned = editor.connection.vendor == "postgresql" and old != new
        if not concerned or not self.allow_migrate_model(editor.connection.alias, log):
            return
        table, guard = quote_name(log._meta.db_table), quote_name(GUARD)
        renamed = f"attribute = {quote_text(new)} WHERE attribute = {quote_text(old)}"
        for statement in (
            f"ALTER TABLE {table} DISABLE TRIGGER {guard}",
            f"UPDATE {table} SET {renamed}",
            f"ALTER TABLE {table} ENABLE TRIGGER {guard}",
        ):
            editor.execute(statement, params=None)


class AlterAttributeType(AlterField):
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
        if schema_editor.connection.vendor != "postgresql" or not self.allow_migrate_model(
            schema_editor.connection.alias, model
        ):
            return
        old_model = from_state.apps.get_model(app_label, self.model_name)
        old, new = old_model._meta.get_field(self.name), model._meta.get_field(self.name)
        document = quote_name(model._meta.db_table)
        entity = quote_name(model._meta.db_table.removesuffix(DOCUMENT) + ENTITY)
        before, after, between = quote_name(old.column), quote_name(new.column), quote_name(_CONVERTED)
        converted = new.clone()
        converted.set_attributes_from_name(_CONVERTED)
        converted.model = model
        schema_editor.add_field(model, converted)
        # A cast to the plain type converts; what is too long for the new column is an error, and is not cut.
        kind = re.sub(r"\(.*?\)", "", column_type(new).partition(" COLLATE ")[0])
        for statement in (
            f"UPDATE {entity} SET {DATA}.{between} = ({DATA}).{before}::{kind} WHERE ({DATA}).{before} IS NOT NULL",
            f"ALTER TABLE {document} DROP COLUMN {before}",
            f"ALTER TABLE {document} RENAME COLUMN {between} TO {after}",
        ):
            schema_editor.execute(statement, params=None)
