"""What checks and commands share: numbered messages, and hints that are lines to write."""

import difflib
import json
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.db import DEFAULT_DB_ALIAS, models


def error(number: str, message: str, *, hint: str, obj: Any = None) -> Error:
    """Return the error `pgcraft_django.<number>`. `obj` is the model that it is about, if it is about one."""
    return Error(message, hint=hint, obj=obj, id=f"pgcraft_django.{number}")


def warning(number: str, message: str, *, hint: str, obj: Any = None) -> CheckWarning:
    """Return the warning `pgcraft_django.<number>`."""
    return CheckWarning(message, hint=hint, obj=obj, id=f"pgcraft_django.{number}")


def command(line: str, using: str) -> str:
    """Return the command for the database `using`: `manage.py migrate --database other`."""
    return f"manage.py {line}" + ("" if using == DEFAULT_DB_ALIAS else f" --database {shlex.quote(using)}")


def source(value: Any) -> str:
    """Return Python source for names, and lists and mappings of names."""
    return json.dumps(value, ensure_ascii=False)


def listed(names: Iterable[str]) -> str:
    """Return names for a sentence: `"id", "name"`."""
    return ", ".join(map(source, names))


def some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def renamed(name: str, model: type[models.Model]) -> str:
    """Return another name for a field or column of `model` whose name is taken: `contract_version`."""
    return f"{model._meta.model_name}_{name}"


def nearest(name: object, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the known name that was probably meant: it has at least this `likeness`, from 0 to 1."""
    lower = {item.lower(): item for item in known}
    found = difflib.get_close_matches(str(name).lower(), lower, n=1, cutoff=likeness)
    return lower[found[0]] if found else None


def corrected(names: Iterable[object], known: Iterable[str]) -> list[str]:
    """Return the known ones among `names`, unknown ones replaced by what was probably meant, each once."""
    known = list(known)
    found = (name if name in known else nearest(name, known) for name in names)
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


def of_apps(messages: Iterable[CheckMessage], app_configs: Sequence[AppConfig] | None) -> list[CheckMessage]:
    """Return the messages about models of `app_configs` (None: all), and those about no model."""
    if app_configs is None:
        return list(messages)
    labels = {config.label for config in app_configs}
    return [message for message in messages if message.obj is None or message.obj._meta.app_label in labels]
