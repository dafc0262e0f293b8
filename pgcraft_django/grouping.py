"""GROUP BY: a view has no primary key.

Django groups by the key alone where it selects whole rows, as in `Product.objects.annotate(Count("sales"))`, because
the other columns of a table follow from it. PostgreSQL does not know that of a view, and wants all columns.
"""

from typing import Any

from django.db.backends.base.features import BaseDatabaseFeatures


def install() -> None:
    """Let Django group by all columns of a model whose relation is a view."""
    features: Any = BaseDatabaseFeatures
    allows = features.allows_group_by_selected_pks_on_model

    def allows_on_tables(self: BaseDatabaseFeatures, model: Any) -> bool:
        return bool(allows(self, model)) and not getattr(getattr(model, "pgcraft_factory", None), "has_view", False)

    features.allows_group_by_selected_pks_on_model = allows_on_tables
