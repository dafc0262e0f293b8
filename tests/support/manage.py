"""A project in a folder of its own, driven by its real `manage.py`."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import settings as test_settings
from tests.support.manage_py import run_manage_py

MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

MODELS = """
from django.db import models
from pgcraft_django.api import API
from pgcraft_django.models import PGCraftSimple

class Person(PGCraftSimple):
    name = models.TextField()

    class Meta:
        db_table = "people"

    class PGCraft:
        api = API(grants={"anon": ["select"]})
"""


@dataclass
class ManagedProject:
    """A project with one app, `shop`, and a database of its own."""

    folder: Path
    database: str

    def settings(self, **changes: Any) -> None:
        """Write the settings; `changes` override the defaults."""
        values: dict[str, Any] = {
            "INSTALLED_APPS": ["pgcraft_django", "shop"],
            "DATABASES": {"default": test_settings.database(self.database)},
            "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
            "PGCRAFT": {"ROLES": ["anon", "webuser"]},
            "SECRET_KEY": "only for tests",
            "USE_TZ": True,
        } | changes
        lines = [f"{name} = {value!r}" for name, value in values.items()]
        (self.folder / "settings.py").write_text("\n".join(lines))

    def models(self, source: str) -> None:
        """Write the models of the app."""
        (self.folder / "shop" / "models.py").write_text(source)

    def migrations(self) -> dict[str, str]:
        """Return the names and texts of the app's migrations."""
        return {path.stem: path.read_text() for path in sorted((self.folder / "shop" / "migrations").glob("0*.py"))}

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Run `manage.py` beside the test; what it prints, errors included, is its standard output."""
        return subprocess.Popen(
            [sys.executable, "-W", "error", "manage.py", *arguments],
            cwd=self.folder,
            env=self._environment(environment),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def manage(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run `manage.py`, check its exit status, and return what it printed, errors included."""
        done = run_manage_py(self.folder, arguments, self._environment(environment), apart=False)
        assert done.returncode == status, done.stdout
        return done.stdout

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        return {**inherited, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(test_settings.BASE_DIR), **more}


def make_project(folder: Path, database: str) -> ManagedProject:
    """Write a project to `folder`."""
    (folder / "shop" / "migrations").mkdir(parents=True)
    for package in ("shop", "shop/migrations"):
        (folder / package / "__init__.py").touch()
    (folder / "manage.py").write_text(MANAGE)
    project = ManagedProject(folder, database)
    project.settings()
    project.models(MODELS)
    return project
