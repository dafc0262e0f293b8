"""Settings of the test suite: an embedded server of the version `PGCRAFT_TEST_PG` names, or the preferred one.

With `PGCRAFT_TEST_OWNER=plain`, the databases belong to a role without any power over the cluster.
"""

import os
from pathlib import Path
from typing import Any

from pgcraft_django import embedded
from tests.support.owner import owner_of_databases

BASE_DIR = Path(__file__).resolve().parent.parent
MAJOR = int(os.environ["PGCRAFT_TEST_PG"]) if os.environ.get("PGCRAFT_TEST_PG") else None

SERVER = embedded.start(BASE_DIR / ".embedded" / f"test-{MAJOR or 'default'}", major=MAJOR, durable=False)
OWNER = owner_of_databases(SERVER)


def database(name: str) -> dict[str, Any]:
    """Return the entry of DATABASES for the database `name`, as its owner."""
    return {**SERVER.database(name), **OWNER}


DATABASES = {"default": database("pgcraft_tests")}
DEBUG = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.admin",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "pgcraft_django",
    "tests.records",
    "tests.tickets",
    "tests.vault",
    "tests.school",
    "tests.entrance",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
PGCRAFT = {"ROLES": ["anon", "webuser"]}
ROOT_URLCONF = "tests.urls"
SECRET_KEY = "only for tests"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
USE_TZ = True
