"""The databases themselves, asked only when Django is told to: by `migrate`, and by `check --database`."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, NotSupportedError, connections, models, router

from pgcraft_django.conf import OLDEST_POSTGRESQL
from pgcraft_django.connections import search_path_option
from pgcraft_django.messages import error, listed, some, source
from pgcraft_django.naming import DEFAULT_SCHEMA
from pgcraft_django.registry import concerned_models, table_schemas

NAMES = re.compile(r'"((?:[^"]|"")*)"|([^",\s]+)')
"""The names in a search path, quoted or not."""


def check_databases(
    *, databases: Sequence[str] | None = None, apps: Apps = global_apps, **kwargs: Any
) -> list[CheckMessage]:
    """Return what is wrong with those of `databases` that our models go to; other vendors' are left alone."""
    ours = list(concerned_models(apps))
    if not databases or not ours:
        return []
    return [
        *_homeless(databases, ours),
        *(
            message
            for alias in databases
            if _is_home(alias, ours)
            for message in _connected(alias, table_schemas(apps, alias))
        ),
    ]


def _is_home(alias: str, ours: Sequence[type[models.Model]]) -> bool:
    """Tell whether `alias` is PostgreSQL and some of our models go there."""
    return connections[alias].vendor == "postgresql" and any(router.allow_migrate_model(alias, item) for item in ours)


def _homeless(databases: Sequence[str], ours: Sequence[type[models.Model]]) -> Iterator[CheckMessage]:
    homeless = [model for model in ours if not any(_is_home(alias, [model]) for alias in connections)]
    if not homeless:
        return
    allowed = [alias for alias in databases if any(router.allow_migrate_model(alias, model) for model in homeless)]
    yield error(
        "E052",
        f"No PostgreSQL database is there for {some([model._meta.label for model in homeless])}.",
        hint=f'Write "ENGINE": "django.db.backends.postgresql" in DATABASES[{source(allowed[0])}]'
        if allowed
        else "Let allow_migrate() of a router in DATABASE_ROUTERS return True for it and a PostgreSQL database",
    )


def _connected(alias: str, schemas: Sequence[str]) -> list[CheckMessage]:
    connection = connections[alias]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_catalog.current_schema(), pg_catalog.current_setting('search_path')")
            first, path = cursor.fetchone()
        version = connection.pg_version  # type: ignore[attr-defined]
    except NotSupportedError as problem:  # too old for Django already
        connection.close()
        return [_too_old(alias, str(problem))]
    except (Error, ImproperlyConfigured):
        return []  # whoever needs the database says what is wrong with it
    return [*check_version(alias, version), *_check_path(alias, first, path, schemas)]


def check_version(alias: str, version: int) -> Iterator[CheckMessage]:
    """Judge the version of a server, as PostgreSQL numbers it: 150004 is 15.4."""
    if version // 10000 < OLDEST_POSTGRESQL:
        yield _too_old(alias, f"It is PostgreSQL {version // 10000}.{version % 10000}.")


def _too_old(alias: str, found: str) -> CheckMessage:
    return error(
        "E053",
        f"The server of DATABASES[{source(alias)}] is too old. {found}",
        hint=f"Upgrade the server to PostgreSQL {OLDEST_POSTGRESQL} or newer: before, views have no security_invoker",
    )


def _check_path(alias: str, first: str | None, path: str, schemas: Sequence[str]) -> Iterator[CheckMessage]:
    names = [quoted.replace('""', '"') or plain.lower() for quoted, plain in NAMES.findall(path)]
    problems = []
    if first != DEFAULT_SCHEMA:
        problems.append(f"new tables go to {first!r} and not to 'public'")
    if missing := [schema for schema in schemas if schema not in names]:
        problems.append(f"it lacks {listed(missing)}")
    if problems:
        yield error(
            "E054",
            f"The search path of DATABASES[{source(alias)}] is {path}: {', and '.join(problems)}.",
            hint=f'Write "OPTIONS": {{"options": {source(search_path_option(schemas))}}} in DATABASES[{source(alias)}]',
        )
