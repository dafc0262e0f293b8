"""What a start-up does not load: time that every command, worker and test run would pay for nothing."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import json, sys
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=[{apps}],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.postgresql", "NAME": "never_reached"}}}},
)
django.setup()
print(json.dumps(sorted(sys.modules)))
"""

FOR_MIGRATIONS = [
    "pgcraft_django.autodetector.placing",
    "pgcraft_django.declared",
    "pgcraft_django.objects",
    "pgcraft_django.operations",
]
FOR_SERVING = ["pgcraft_django.postgrest", "pgcraft_django.lifecycle.roles", "pgcraft_django.embedded"]


def loaded(*apps: str) -> set[str]:
    environment: dict[str, Any] = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO")}
    program = PROGRAM.format(apps=", ".join(map(repr, apps)))
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    return set(json.loads(answer.stdout))


@pytest.mark.parametrize("apps", [[], ["django.contrib.contenttypes", "django.contrib.auth"]])
def test_a_start_up_loads_nothing_of_what_only_commands_need(apps: list[str]) -> None:
    found = loaded(*apps, "pgcraft_django")
    assert {"pgcraft_django.registry", "pgcraft_django.autodetector.detector"} <= found
    assert found.isdisjoint([*FOR_MIGRATIONS, *FOR_SERVING, "django.contrib.postgres"])


def test_a_project_without_models_does_not_load_the_database_driver() -> None:
    assert "psycopg" not in loaded("pgcraft_django")
