"""Whether `makemigrations` and `migrate` still find our objects."""

from collections.abc import Iterator

import pytest
from django.core.management.commands import makemigrations, migrate
from django.db.migrations.autodetector import MigrationAutodetector

from pgcraft_django.autodetector.wiring import compose
from pgcraft_django.checks import commands
from tests.checks.declare import expect


class Detector(MigrationAutodetector):
    """The autodetector of another app."""


@pytest.fixture
def _restored() -> Iterator[None]:
    before = makemigrations.Command.autodetector, migrate.Command.autodetector
    yield
    makemigrations.Command.autodetector, migrate.Command.autodetector = before


def test_both_commands_use_our_autodetector() -> None:
    assert commands.check_commands() == []


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("command", [makemigrations.Command, migrate.Command])
def test_an_app_that_puts_its_own_autodetector_there_is_named(command: type) -> None:
    Detector.__module__ = "tests.school.detector"  # as if that app had it
    command.autodetector = Detector  # type: ignore[attr-defined]
    found = commands.check_commands()
    expect(found, "E051", 'Put "pgcraft_django" after "tests.school" in INSTALLED_APPS')
    assert "tests.school.detector.Detector" in found[0].msg


@pytest.mark.usefixtures("_restored")
def test_an_autodetector_of_no_app_is_named_by_its_class() -> None:
    makemigrations.Command.autodetector = MigrationAutodetector
    line = "after the app that sets django.db.migrations.autodetector.MigrationAutodetector in INSTALLED_APPS"
    expect(commands.check_commands(), "E051", line)


@pytest.mark.usefixtures("_restored")
def test_another_autodetector_with_ours_in_it_is_fine() -> None:
    makemigrations.Command.autodetector = migrate.Command.autodetector = compose(Detector)
    assert commands.check_commands() == []


def test_a_command_with_an_autodetector_of_its_own_is_told_to_compose_it() -> None:
    command = type("Command", (makemigrations.Command,), {"__module__": "shop.commands", "autodetector": Detector})()
    line = "Write autodetector = compose(Detector) in shop.commands.Command"
    expect(list(commands._command("makemigrations", command)), "E051", line)
