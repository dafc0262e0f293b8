"""Whether `makemigrations` and `migrate` still find our objects after all other apps are loaded."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage
from django.core.management import BaseCommand, get_commands, load_command_class

from pgcraft_django.autodetector.detector import DetectorMixin
from pgcraft_django.messages import error, source

CORE = "django.core.management.commands."


def check_commands(**kwargs: Any) -> list[CheckMessage]:
    """Return an error for each of the two commands that uses an autodetector without our part."""
    commands = get_commands()
    found = ((name, load_command_class(commands[name], name)) for name in ("makemigrations", "migrate"))
    return [message for name, command in found for message in _command(name, command)]


def _command(name: str, command: BaseCommand) -> Iterator[CheckMessage]:
    detector = getattr(command, "autodetector", None)
    if isinstance(detector, type) and issubclass(detector, DetectorMixin):
        return
    shown = f"{detector.__module__}.{detector.__qualname__}" if isinstance(detector, type) else repr(detector)
    definer = next((cls for cls in type(command).__mro__ if "autodetector" in vars(cls)), type(command))
    if definer.__module__.startswith(CORE):  # an app that was loaded after ours has put its own there
        owner = apps.get_containing_app_config(getattr(detector, "__module__", ""))
        after = source(owner.name) if owner else f"the app that sets {shown}"
        hint = f'Put "pgcraft_django" after {after} in INSTALLED_APPS'
    else:
        base = detector.__name__ if isinstance(detector, type) else "MigrationAutodetector"
        hint = (
            f"Write autodetector = compose({base}) in {definer.__module__}.{definer.__qualname__}, "
            "with from pgcraft_django.autodetector.wiring import compose"
        )
    yield error("E051", f"{name} uses the autodetector {shown}, which finds no API and no schema.", hint=hint)
