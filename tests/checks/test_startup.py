"""A project with bad declarations starts, so that the checks can speak: no traceback, and nothing is done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
SECRET_KEY = "only for tests"
INSTALLED_APPS = ["pgcraft_django", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "nowhere", "HOST": "/nowhere"}}
"""
MODELS = """
from django.db import models
from pgcraft_django import API
from pgcraft_django.models import PGCraftSimple


class Person(PGCraftSimple):
    name = models.TextField(null=True)
"""


def manage(folder: Path, *arguments: str, settings: str = "", models: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of a project with the app `shop`; `models` goes on with the class `Person`."""
    (folder / "shop" / "migrations").mkdir(parents=True)
    for name in ("__init__.py", "migrations/__init__.py"):
        (folder / "shop" / name).touch()
    (folder / "shop" / "models.py").write_text(MODELS + models)
    (folder / "project.py").write_text(f"{SETTINGS}\n{settings}\n")
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "django", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project",
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("command", ["check", "makemigrations"])
@pytest.mark.parametrize(
    ("number", "setting", "models"),
    [
        ("E001", "PGCRAFT = ['anon']", ""),
        ("E003", "PGCRAFT = {'TABLE_SCHEMA': 5, 'ROLES': 5, 'DEFAULT_GRANTS': 5, 'POSTGREST': 5}", ""),
        ("E011", f"PGCRAFT = {{'TABLE_SCHEMA': '{'x' * 64}'}}", ""),
        ("E022", "", "    class PGCraft:\n        schema = 5\n        api = 5\n        plugins = 5\n"),
        ("E011", "", f"    class PGCraft:\n        schema = '{'x' * 64}'\n"),
        ("E031", "", "    class PGCraft:\n        api = API(name=5, schema=5, columns=5, exclude=5, grants=5)\n"),
    ],
)
def test_bad_declarations_end_in_a_check_and_not_in_a_traceback(
    tmp_path: Path, command: str, number: str, setting: str, models: str
) -> None:
    done = manage(tmp_path, command, settings=setting, models=models)
    assert done.returncode == 1
    assert f"(pgcraft_django.{number})" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "shop" / "migrations").glob("*.py")] == ["__init__.py"]


def test_the_example_in_the_documentation_is_what_is_printed(tmp_path: Path) -> None:
    models = '    class PGCraft:\n        api = API(columns=["id", "nmae"])\n'
    done = manage(tmp_path, "check", "--tag", "pgcraft_django", models=models)
    assert done.stderr.strip() in (ROOT / "docs" / "checks.md").read_text()
