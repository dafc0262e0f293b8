"""Declaring models and running the checks on them."""

from typing import Any

from django.apps.registry import Apps
from django.core.checks import CheckMessage
from django.db import models

from pgcraft_django.checks.api import check_apis
from pgcraft_django.checks.models import check_models
from pgcraft_django.checks.policies import check_policies
from pgcraft_django.checks.resources import check_resources
from pgcraft_django.checks.settings import check_settings
from pgcraft_django.declared import declared
from pgcraft_django.models import PGCraftSimple
from pgcraft_django.registry import table_schemas


def model(
    apps: Apps,
    name: str = "Person",
    /,
    *,
    label: str = "shop",
    base: type[models.Model] | tuple[type[models.Model], ...] = PGCraftSimple,
    meta: dict[str, Any] | None = None,
    pgcraft: Any = None,
    **attributes: Any,
) -> type[models.Model]:
    """Define a model with a field `name`; `pgcraft` is the content of its inner class, or what stands in its place."""
    inner = (
        {} if pgcraft is None else {"PGCraft": type("PGCraft", (), pgcraft) if isinstance(pgcraft, dict) else pgcraft}
    )
    options = {"apps": apps, "app_label": label, **(meta or {})}
    fields = {} if options.get("proxy") else {"name": models.TextField(null=True)}
    bases = base if isinstance(base, tuple) else (base,)
    return type(
        name, bases, {"__module__": __name__, "Meta": type("Meta", (), options), **fields, **inner, **attributes}
    )


def messages(apps: Apps) -> list[CheckMessage]:
    """Return what all checks of settings and models say. The declared state must be there whatever they say."""
    declared(apps)
    table_schemas(apps)
    of_models = (check_models, check_apis, check_policies, check_resources)
    return [*check_settings(), *(message for check in of_models for message in check(apps=apps))]


def expect(found: list[CheckMessage], number: str, line: str) -> None:
    """Assert that there is one message, with this number, and that its hint has the line to write."""
    assert [item.id for item in found] == [f"pgcraft_django.{number}"], [str(item) for item in found]
    assert line in (found[0].hint or ""), found[0].hint
