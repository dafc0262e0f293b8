"""Hooking into `makemigrations` and `migrate`.

Our mixin is composed onto whatever autodetector class is there, so that other apps' (django-pgtrigger's) stay at
work. Since Django 5.2 the commands take the class from an attribute; apps that were written for older versions,
when it was a name in the commands' modules, read that name and overwrite the attribute with it. So both places of
both commands get the same class.
"""

from django.core.management.commands import makemigrations, migrate
from django.db.migrations.autodetector import MigrationAutodetector

from pgcraft_django.autodetector.detector import DetectorMixin


def compose(base: type[MigrationAutodetector]) -> type[MigrationAutodetector]:
    """Return `base` with the mixin before it, or `base` itself if it has it already."""
    if issubclass(base, DetectorMixin):
        return base
    return type("MigrationAutodetector", (DetectorMixin, base), {})


def install() -> None:
    """Make both commands use the mixin."""
    detector = compose(makemigrations.Command.autodetector)
    for module in (makemigrations, migrate):
        module.MigrationAutodetector = detector  # type: ignore[attr-defined]
        module.Command.autodetector = detector
