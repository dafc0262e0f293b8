"""Wiring. Everything that happens at start-up is listed here, and nothing else is."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class PGCraftConfig(AppConfig):
    """The app that an `INSTALLED_APPS` entry `"pgcraft_django"` means."""

    name = "pgcraft_django"
    verbose_name = "pgcraft"

    def ready(self) -> None:
        from pgcraft_django import checks, connections, registry
        from pgcraft_django.autodetector import wiring

        registry.autodiscover()
        connections.set_search_path()
        wiring.install()
        checks.register()
        pre_migrate.connect(connections.extend_search_path, sender=self)
        post_migrate.connect(_let_tests_truncate, sender=self)
        post_migrate.connect(_reload_schema, sender=self)


def _let_tests_truncate(using: str, **kwargs: Any) -> None:
    from pgcraft_django.factories.guard import let_tests_truncate

    let_tests_truncate(using)


def _reload_schema(using: str, **kwargs: Any) -> None:
    from pgcraft_django.postgrest.reload import notify_reload

    notify_reload(using)
