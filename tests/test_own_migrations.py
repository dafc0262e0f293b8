"""The migrations of the apps that tests run with are what their models need."""

import pytest
from django.core.management import call_command


@pytest.mark.django_db
@pytest.mark.parametrize("app", ["entrance", "records", "school", "tickets", "vault"])
def test_nothing_is_left_to_migrate(app: str) -> None:
    call_command("makemigrations", app, "--check", "--dry-run", verbosity=0)
