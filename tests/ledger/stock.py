"""An inventory whose balances never fall below zero: the ledger that most tests run."""

from collections.abc import Sequence
from typing import Any

from django.apps.registry import Apps
from django.db import models

from pgcraft_django.models import PGCraftLedger
from pgcraft_django.plugins import Balance

KEPT = Balance(dimensions=["warehouse", "sku"], minimum=0)


def declare(
    apps: Apps,
    *,
    name: str = "Inventory",
    table: str = "inventory",
    fields: dict[str, Any] | None = None,
    base: type[models.Model] = PGCraftLedger,
    indexes: Sequence[models.Index] = (),
    **options: Any,
) -> type[models.Model]:
    """Define `Inventory` in `apps`; `options` are what its `class PGCraft` says."""
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": table, "indexes": [*indexes]})
    own = {
        "value": models.DecimalField(max_digits=20, decimal_places=2),
        "warehouse": models.TextField(),
        "sku": models.TextField(null=True),
        **(fields or {}),
    }
    inner = type("PGCraft", (), {"plugins": [KEPT], **options})
    attributes = {key: value for key, value in own.items() if value is not None}
    return type(name, (base,), {"__module__": __name__, "Meta": meta, "PGCraft": inner, **attributes})
