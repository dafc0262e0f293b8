"""The mixin that makes Django's autodetector find objects too.

Every start-up imports it, and few need more than the class: the work is imported when it begins.
"""

# django-stubs leaves out what subclasses of the autodetector work with.
# mypy: disable-error-code="attr-defined, misc, override, arg-type, union-attr, method-assign, assignment"

import re
from functools import partial
from typing import Any

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.db.migrations import Migration
from django.db.migrations.autodetector import MigrationAutodetector, OperationDependency
from django.db.migrations.operations.base import Operation
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ProjectState

from pgcraft_django.autodetector.after import After


class DetectorMixin(MigrationAutodetector):
    """Adds the operations for database objects to those of the autodetector it is composed onto."""

    declared_apps: Apps = global_apps
    """The registry whose models are compared."""

    def __init__(
        self, from_state: ProjectState, to_state: ProjectState, questioner: MigrationQuestioner | None = None
    ) -> None:
        from pgcraft_django.autodetector.questions import AskOnce
        from pgcraft_django.factories.base import share_defaults

        share_defaults(to_state, self.declared_apps)
        asked_once = AskOnce(questioner or MigrationQuestioner(), self.declared_apps, from_state)
        super().__init__(from_state, to_state, asked_once)
        self.kept_logs: list[tuple[str, str]] = []

    def _detect_changes(self, convert_apps: Any = None, graph: Any = None) -> Any:
        from pgcraft_django.autodetector.views import count_as_managed

        self._convert_apps = set(convert_apps or ())
        self.views = count_as_managed(self.from_state, self.declared_apps)
        return super()._detect_changes(convert_apps, graph)

    def generate_deleted_models(self) -> None:
        from pgcraft_django.autodetector.kept import delete_as_a_whole, kept_models, refuse_kept_tables
        from pgcraft_django.autodetector.views import order_deletion

        self.kept_logs = kept_models(self.old_model_keys - self.new_model_keys, self.from_state)
        refuse_kept_tables(self)
        self.old_model_keys.difference_update(self.kept_logs)
        super().generate_deleted_models()
        delete_as_a_whole(self)
        order_deletion(self)

    def create_altered_constraints(self) -> None:
        from pgcraft_django.autodetector.remade import remake_expressions

        super().create_altered_constraints()
        remake_expressions(self)

    def generate_altered_fields(self) -> None:
        from pgcraft_django.autodetector.defaults import with_default_aside
        from pgcraft_django.autodetector.kept import release_deleted, with_history
        from pgcraft_django.autodetector.views import refuse_order, with_attributes

        refuse_order(self)
        super().generate_altered_fields()
        for label, operations in self.generated_operations.items():
            with_attributes_changed = (with_attributes(self, label, operation) for operation in operations)
            with_versions = (with_history(self, label, operation) for operation in with_attributes_changed)
            operations[:] = [with_default_aside(self, label, operation) for operation in with_versions]
        release_deleted(self)

    def _sort_migrations(self) -> None:
        from pgcraft_django.autodetector.placing import Placer

        super()._sort_migrations()
        Placer(self).place()
        # Not before, and no method of the class: to sort, Django asks for each pair of a dependency and an operation.
        self.check_dependency = self._check_dependency

    def _check_dependency(self, operation: Operation, dependency: OperationDependency) -> bool:
        if isinstance(dependency, After):
            return operation is dependency.operation
        return super().check_dependency(operation, dependency)

    def _optimize_migrations(self) -> None:
        from pgcraft_django.autodetector.views import as_unmanaged

        super()._optimize_migrations()
        for migrations in self.migrations.values():
            for migration in migrations:
                for operation in migration.operations:
                    as_unmanaged(operation, self.views, migration.app_label)
                migration.suggest_name = partial(_suggest_name, migration)


def _suggest_name(migration: Migration) -> str:
    """Name the migration after what the user did to the models, or else after the resources that change."""
    from pgcraft_django.autodetector.remade import without_remade
    from pgcraft_django.operations import ObjectOperation

    ours = [item for item in migration.operations if isinstance(item, ObjectOperation)]
    theirs = [item for item in migration.operations if not isinstance(item, ObjectOperation)]
    if not ours or migration.initial:
        return type(migration).suggest_name(migration)
    if theirs:
        known = type(migration)(migration.name, migration.app_label)
        known.operations = without_remade(theirs)
        return known.suggest_name()
    names = list(dict.fromkeys(name for operation in ours for name in operation.names))
    more = "_and_more" if len(names) > 1 else ""
    return re.sub(r"\W+", "_", f"{names[0]}_api{more}".lower()) if names else "api"
