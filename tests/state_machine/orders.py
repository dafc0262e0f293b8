"""Orders that are shipped or cancelled: the machine that most tests run."""

from typing import Any

from django.apps.registry import Apps
from django.db import models

from pgcraft_django.models import PGCraftStateMachine, Transition

TRANSITIONS: dict[str, list[Any]] = {
    "pending": [Transition("confirmed", guard=models.Q(total__gt=0)), "cancelled"],
    "confirmed": ["shipped", "cancelled"],
}


class State(models.TextChoices):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"


def declare(
    apps: Apps, *, name: str = "Order", table: str = "orders", fields: dict[str, Any] | None = None, **options: Any
) -> type[models.Model]:
    """Define `Order` in `apps`; `options` are what its `class PGCraft` says beside the transitions."""
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": table})
    inner = {
        "transitions": TRANSITIONS,
        "transition_fields": {"tracking_code": models.TextField(null=True)},
        **options,
    }
    own = {
        "state": models.TextField(choices=State.choices, default=State.PENDING),
        "total": models.DecimalField(max_digits=12, decimal_places=2, default=0),
        "note": models.TextField(default="", blank=True),
        **(fields or {}),
    }
    return type(
        name,
        (PGCraftStateMachine,),
        {"__module__": __name__, "Meta": meta, "PGCraft": type("PGCraft", (), inner), **own},
    )
