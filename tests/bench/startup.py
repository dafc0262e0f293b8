"""What the package adds to the start of a project that has no models of it."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial

from tests.bench.measuring import alternate, difference, medians, spread
from tests.bench.project import clean_environment
from tests.bench.report import Figure

MOST_MILLISECONDS = 50

PROJECTS: dict[str, list[str]] = {
    "a project without apps": [],
    "what startproject makes": [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
    ],
}

PROGRAM = """
import time
began = time.perf_counter()
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS={apps!r},
    DATABASES={{"default": {{"ENGINE": "django.db.backends.postgresql", "NAME": "never_reached"}}}},
)
django.setup()
print(time.perf_counter() - began)
"""


def measure(runs: int) -> Iterator[Figure]:
    """Yield one figure for each kind of project."""
    for name, apps in PROJECTS.items():
        both = [*apps, "pgcraft_django"]
        _milliseconds(both)  # once for the bytecode
        pairs = alternate(runs, partial(_milliseconds, both), partial(_milliseconds, apps))
        ours, theirs = medians(pairs)
        yield Figure(
            part="Start-up",
            name=f"import and django.setup() of {name}: added",
            value=difference(pairs),
            spread=spread(ours - theirs for ours, theirs in pairs),
            unit="ms",
            at_most=MOST_MILLISECONDS,
            ours=ours,
            theirs=theirs,
            medians_unit="ms",
            against="without the package",
            runs=runs,
        )


def _milliseconds(apps: Sequence[str]) -> float:
    """Return the time that a new process takes to be ready with `apps`."""
    program = PROGRAM.format(apps=list(apps))
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment())
    return float(answer.stdout) * 1000
