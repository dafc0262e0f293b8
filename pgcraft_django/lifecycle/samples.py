"""Sample rows: the fixture `sample.json` of each installed app that has one.

It is loaded only while the tables of all its models are empty, so that loading again never overwrites anything.
"""

import json
from pathlib import Path

from django.apps import apps
from django.core.management import call_command
from django.core.serializers.base import DeserializationError
from django.db import DatabaseError, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from pgcraft_django.diagnosis import server_words
from pgcraft_django.errors import ConfigurationError, ServerError

FIXTURE = Path("fixtures", "sample.json")


def sample_fixtures() -> list[Path]:
    """Return the sample fixtures of the installed apps."""
    paths = (Path(app.path) / FIXTURE for app in apps.get_app_configs())
    return [path for path in paths if path.is_file()]


def load_sample(fixture: Path, connection: BaseDatabaseWrapper) -> str:
    """Load the rows of `fixture` unless there are rows already; return a sentence that says which it was.

    Raises `ConfigurationError` if the file is no fixture of models that exist, `ServerError` if their tables are
    missing or refuse the rows; nothing of it is loaded then.
    """
    try:
        entries = json.loads(fixture.read_text(encoding="utf-8"))
        models: list[type[Model]] = [apps.get_model(name) for name in sorted({entry["model"] for entry in entries})]
    except (ValueError, KeyError, TypeError, LookupError) as error:
        raise ConfigurationError(f"{fixture} is not a fixture of this project's models: {error}") from error
    alias = connection.alias
    here = {model._meta.label_lower: model for model in models if router.allow_migrate_model(alias, model)}
    if models and not here:
        return f"No sample rows of {fixture} loaded: they are for another database."
    try:
        filled = [model._meta.label for model in here.values() if model._base_manager.using(alias).exists()]
        if filled:
            return f"No sample rows loaded: there are rows already ({', '.join(filled)})."
        call_command("loaddata", str(fixture), database=alias, verbosity=0)
    except DeserializationError as error:
        raise ConfigurationError(f"The sample rows cannot be loaded. {error}") from error
    except DatabaseError as error:
        raise ServerError(
            f"The sample rows of {fixture} cannot be loaded: {server_words(error)}\n"
            "If tables or columns are missing: manage.py makemigrations, then this command again."
        ) from error
    return f"Loaded {sum(entry['model'].lower() in here for entry in entries)} sample rows."
