"""Migration operations for a table that gets its history back, which was kept: its versions go on where that ends.

Their import path is permanent.
"""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.fields import AddField, RemoveField
from django.db.migrations.state import ProjectState

from pgcraft_django.naming import quote_name
from pgcraft_django.operations import change_rows, runs_here

HISTORY = "history"
"""What the name of the companion model ends with."""


class _GoesOn:
    """What numbers rows whose former versions are there already."""

    def _go_on(self: Any, app_label: str, editor: BaseDatabaseSchemaEditor, state: ProjectState) -> None:
        model = state.apps.get_model(app_label, self.model_name)
        history = state.apps.get_model(app_label, f"{self.model_name}{HISTORY}")
        if not runs_here(self, editor, model):
            return
        version = quote_name(model._meta.get_field(self.name).column)
        keys = [quote_name(field.column) for field in model._meta.pk_fields]
        listed = ", ".join(keys)
        same = " AND ".join(f"former.{key} = entity.{key}" for key in keys)
        change_rows(
            editor,
            f"UPDATE {quote_name(model._meta.db_table)} AS entity SET {version} = former.{version} + 1\n"
            f"FROM (SELECT {listed}, max({version}) AS {version} FROM {quote_name(history._meta.db_table)}\n"
            f"    GROUP BY {listed}) AS former\n"
            f"WHERE {same}",
        )


class AddVersion(_GoesOn, AddField):
    """Django's `AddField` for the version of rows, of which some have a history."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        self._go_on(app_label, schema_editor, to_state)


class RemoveVersion(_GoesOn, RemoveField):
    """Django's `RemoveField` for the version of rows whose history is kept. Backwards, they have it again."""

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        super().database_backwards(app_label, schema_editor, from_state, to_state)
        self._go_on(app_label, schema_editor, to_state)
