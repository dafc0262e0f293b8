"""Wiring. Everything that happens at start-up is listed here, and nothing else is."""

from typing import Any

from django.apps import AppConfig
from django.db import connections as databases
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate


class PGCraftConfig(AppConfig):
    """The app that an `INSTALLED_APPS` entry `"pgcraft_django"` means."""

    name = "pgcraft_django"
    verbose_name = "pgcraft"

    def ready(self) -> None:
        from pgcraft_django import checks, connections, grouping, migrating, registry
        from pgcraft_django.autodetector import wiring

        registry.autodiscover()
        connections.set_search_path()
        grouping.install()
        wiring.install()
        migrating.install()
        checks.register()
        pre_migrate.connect(connections.extend_search_path, sender=self)
        post_migrate.connect(_let_tests_truncate, sender=self)
        post_migrate.connect(_make_partitions, sender=self)
        post_migrate.connect(_reload_schema, sender=self)
        connection_created.connect(_attribute_writes, dispatch_uid="pgcraft_django.attribution")
        for connection in databases.all(initialized_only=True):  # which an app before this one may have opened
            _attribute_writes(connection)


def _let_tests_truncate(using: str, **kwargs: Any) -> None:
    from pgcraft_django.factories.guard import let_tests_truncate

    let_tests_truncate(using)


def _make_partitions(using: str, **kwargs: Any) -> None:
    from pgcraft_django.factories.ledger.partitions import make_partitions_after_migrate

    make_partitions_after_migrate(using, **kwargs)


def _reload_schema(using: str, **kwargs: Any) -> None:
    from pgcraft_django.postgrest.reload import notify_reload

    notify_reload(using)


def _attribute_writes(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    if connection.vendor == "postgresql":
        from pgcraft_django.attribution.teller import attach

        attach(connection)
