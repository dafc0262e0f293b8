"""Settings of the test suite: an embedded server of the version `PGCRAFT_TEST_PG` names, or the preferred one."""

import os
from pathlib import Path

from pgcraft_django import embedded

BASE_DIR = Path(__file__).resolve().parent.parent
MAJOR = int(os.environ["PGCRAFT_TEST_PG"]) if os.environ.get("PGCRAFT_TEST_PG") else None

SERVER = embedded.start(BASE_DIR / ".embedded" / f"test-{MAJOR or 'default'}", major=MAJOR, durable=False)

DATABASES = {"default": SERVER.database("pgcraft_tests")}
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
