"""A catalogue of products whose fields are attributes."""

from typing import Any

from django.apps.registry import Apps
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models.functions import Lower, Now

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftEAV, PGCraftForeignKey, PGCraftSimple

OPEN = API(grants={"webuser": "all"})


def define(
    apps: Apps, name: str, table: str, base: Any, fields: dict[str, Any], meta: Any = None, **options: Any
) -> Any:
    """Define a model in `apps`."""
    inner = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": table, **(meta or {})})
    attributes = {"__module__": __name__, "Meta": inner, "PGCraft": type("PGCraft", (), options)}
    return type(name, (base,), {**attributes, **{key: value for key, value in fields.items() if value is not None}})


def product_fields() -> dict[str, Any]:
    """Return fields of each kind that is difficult to hold exactly."""
    return {
        "sku": models.CharField(max_length=20, unique=True),
        "color": models.TextField(null=True, db_index=True),
        "weight": models.DecimalField(max_digits=12, decimal_places=6, null=True),
        "price": models.DecimalField(max_digits=10, decimal_places=2, null=True),
        "stock": models.PositiveIntegerField(default=0),
        "size": models.TextField(choices=[("S", "small"), ("M", "medium"), ("%s {}", "odd")], default="M"),
        "is_sold": models.BooleanField(default=False),
        "is_new": models.BooleanField(null=True),
        "rating": models.IntegerField(null=True),
        "since": models.DateField(null=True),
        "seen": models.DateTimeField(null=True, db_default=Now()),
        "lasts": models.DurationField(null=True),
        "code": models.UUIDField(null=True),
        "ratio": models.FloatField(null=True),
        "details": models.JSONField(null=True),
        "marks": ArrayField(models.DecimalField(max_digits=4, decimal_places=2), null=True),
        "raw": models.BinaryField(null=True),
        "order": models.TextField(null=True, db_column="Größe, order"),
        "category": models.ForeignKey("shop.Category", models.CASCADE, null=True, related_name="products"),
        "parent": PGCraftForeignKey("self", models.SET_NULL, null=True, related_name="parts"),
    }


def declare(apps: Apps, *, api: Any = OPEN, fields: dict[str, Any] | None = None, **more: Any) -> None:
    """Define categories, products, and the lines of an order that name a product."""
    define(apps, "Category", "categories", PGCraftSimple, {"name": models.TextField()}, api=api)
    meta = {
        "constraints": [
            models.CheckConstraint(condition=models.Q(weight__gt=0) | models.Q(price=None), name="weighed"),
            models.UniqueConstraint(Lower("color"), "since", name="one_a_day", condition=models.Q(since__isnull=False)),
        ],
        "indexes": [
            models.Index(fields=["-stock"], name="by_stock"),
            models.Index(
                OpClass(Lower("order"), name="text_pattern_ops"),
                models.F("rating").desc(nulls_last=True),
                models.F("ratio").asc(nulls_first=True),
                name="by_order",
            ),
        ],
    }
    define(apps, "Product", "products", PGCraftEAV, {**product_fields(), **(fields or {})}, meta, api=api, **more)
    line = {
        "product": PGCraftForeignKey("shop.Product", models.CASCADE, related_name="lines"),
        "amount": models.IntegerField(default=1),
    }
    define(apps, "Line", "lines", PGCraftSimple, line, api=api)
