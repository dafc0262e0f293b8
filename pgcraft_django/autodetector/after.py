"""A dependency on one particular operation, where Django's are on what an operation does to a model."""

from django.db.migrations.autodetector import OperationDependency
from django.db.migrations.operations.base import Operation


class After(OperationDependency):
    """A dependency on one particular operation, or, without it, on all that `app_label` has already."""

    operation: Operation | None

    @classmethod
    def make(cls, app_label: str, operation: Operation | None = None) -> "After":
        dependency = cls(app_label, "", None, OperationDependency.Type.CREATE)
        dependency.operation = operation
        return dependency
