"""`manage.py pgcraft_graph`: a picture of the state machines."""

from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError

from pgcraft_django.factories.state_machine.graph import FORMATS
from pgcraft_django.factories.state_machine.machine import Machine, get_machine
from pgcraft_django.management.base import PlainCommand
from pgcraft_django.messages import listed
from pgcraft_django.models import PGCraftStateMachine


class Command(PlainCommand):
    help = "Prints the states and transitions of models as a diagram: text for Mermaid or Graphviz. Asks no database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("models", nargs="*", metavar="app.Model", help="The models; all with states unless given.")
        parser.add_argument(
            "--format", choices=sorted(FORMATS), default="mermaid", help="For Mermaid, unless given, or for Graphviz."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        known = _machines()
        names = options["models"] or list(known)
        if not names:
            raise CommandError("No model is a PGCraftStateMachine, so there is nothing to print.")
        chosen = {name.lower(): known.get(name.lower()) for name in names}
        for name in names:
            if chosen[name.lower()] is None:
                there = (
                    f"Those that do are {listed(item.model._meta.label for item in known.values())}." if known else ""
                )
                raise CommandError(f"No model {name!r} has states. {there}".strip())
        machines = [machine for machine in chosen.values() if machine]
        self.stdout.write(FORMATS[options["format"]](machines), ending="")


def _machines() -> dict[str, Machine]:
    """Return lower-case label -> machine, in order of the labels."""
    models = (model for model in apps.get_models() if issubclass(model, PGCraftStateMachine) and not model._meta.proxy)
    found = {model._meta.label_lower: machine for model in models if (machine := get_machine(model))}
    return dict(sorted(found.items()))
