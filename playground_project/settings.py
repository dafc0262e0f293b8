"""Settings of the playground. They are read from the environment and from `playground_project/.env`.

Without a DATABASE_URL an embedded PostgreSQL runs as long as a command of this project does, and keeps its data in
`.embedded/playground/` (or PGCRAFT_EMBEDDED_DIR). This is for one's own machine, not for the internet: DEBUG is on.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import environ
from django.core.exceptions import ImproperlyConfigured

from pgcraft_django import embedded
from pgcraft_django.errors import ServerError
from playground_project.dotenv import add_missing_secrets

BASE_DIR = Path(__file__).resolve().parent.parent

DOTENV = BASE_DIR / "playground_project" / ".env"
add_missing_secrets(DOTENV, "SECRET_KEY", "PGRST_DB_PASSWORD", "PGRST_JWT_SECRET")
env = environ.Env()
env.read_env(DOTENV)


def database_from_url(url: str) -> dict[str, Any]:
    """Return the entry of DATABASES for `url`, which may name a driver: `postgresql+psycopg://`."""
    match = re.fullmatch(r"postgres(?:ql)?(?:\+\w+)?(://.+)", url)
    try:
        database = dict(env.db_url_config("postgresql" + match[1])) if match else {}
    except ValueError:  # its text may hold the password
        database = {}
    if not database.get("NAME"):
        raise ImproperlyConfigured(
            "DATABASE_URL is not understood. Write postgresql+psycopg:///pgcraft (Unix socket) or "
            "postgresql+psycopg://user:password@host:5432/pgcraft; in the password, characters such as @ / : % are "
            "written as %40 %2F %3A %25."
        )
    database["HOST"] = unquote(database["HOST"])
    return database


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def embedded_database() -> dict[str, Any]:
    """Start or join the embedded PostgreSQL; return its entry of DATABASES."""
    folder = env.path("PGCRAFT_EMBEDDED_DIR", BASE_DIR / ".embedded" / "playground")
    try:
        server = embedded.start(folder, report=_report)
    except ServerError as error:
        hint = "Here, PGCRAFT_EMBEDDED_DIR names that folder, and DATABASE_URL a server of your own."
        raise ServerError(f"{error}\n{hint}") from error
    # `dbshell` runs psql, which comes with the server.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), str(embedded.find_binaries(server.major))])
    return server.database("pgcraft")


DEBUG = env.bool("DEBUG", True)
SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
ROOT_URLCONF = "playground_project.urls"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "pgcraft_django",
    "playground_project",
]

DATABASE_URL = env.str("DATABASE_URL", "")
DATABASES = {"default": database_from_url(DATABASE_URL) if DATABASE_URL else embedded_database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"

PGCRAFT = {
    "ROLES": ["anon", "webuser"],
}

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "pgcraft_django.middleware.HistoryContextMiddleware",
]
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
STATIC_URL = "static/"
