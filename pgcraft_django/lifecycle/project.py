"""What belongs to the project itself: the apps under its folder, and their migration files.

Commands that undo or delete migrations must never touch an installed package, so an app is the project's own only
if its folder is inside `BASE_DIR` (or, without that setting, the current folder) and not in an environment inside it.
"""

import re
import sysconfig
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from django.apps import AppConfig, apps
from django.conf import settings
from django.db.migrations.loader import MigrationLoader

NUMBERED = re.compile(r"\d{4}_\w+\.py")


def project_folder() -> Path:
    """Return the folder that the project's own code is under."""
    return Path(getattr(settings, "BASE_DIR", None) or Path.cwd()).resolve()


def is_own(path: Path) -> bool:
    """Tell whether `path` is the project's own code."""
    path = path.resolve()
    installed = any(path.is_relative_to(Path(place).resolve()) for place in _places_of_packages())
    in_environment = {"site-packages", "dist-packages", "node_modules"} & set(path.parts)
    return path.is_relative_to(project_folder()) and not installed and not in_environment


def _places_of_packages() -> set[str]:
    paths = sysconfig.get_paths()
    return {paths[key] for key in ("purelib", "platlib", "stdlib", "platstdlib")}


def own_apps() -> list[AppConfig]:
    """Return the installed apps that are the project's own, in their order in `INSTALLED_APPS`."""
    return [app for app in apps.get_app_configs() if is_own(Path(app.path))]


def migration_files() -> Iterator[Path]:
    """Yield the numbered migration files of the project's own apps."""
    for app in own_apps():
        folder = _migrations_folder(app.label)
        if folder is not None and is_own(folder):
            yield from sorted(path for path in folder.iterdir() if NUMBERED.fullmatch(path.name) and path.is_file())


def _migrations_folder(label: str) -> Path | None:
    name, _ = MigrationLoader.migrations_module(label)
    if name is None:
        return None
    try:
        module = import_module(name)
    except ModuleNotFoundError:
        return None
    return Path(module.__file__).parent if module.__file__ else None
