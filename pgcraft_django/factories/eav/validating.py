"""Values of `extra` in forms: `full_clean()` says before the database does what they cannot be."""

import json
import re
from typing import Any

from django.core.exceptions import ValidationError
from django.db import router
from django.utils.dateparse import parse_date, parse_datetime

from pgcraft_django.attribution.acting import readable_columns
from pgcraft_django.factories.eav.document import EXTRA

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)", re.ASCII)


def validate_extra(instance: Any, exclude: Any) -> None:
    """Raise `ValidationError` unless each value is defined, and of its type. An empty field of a form is no value."""
    if EXTRA in (exclude or ()):
        return
    if instance.extra is None:
        instance.extra = {}
    if not isinstance(instance.extra, dict):
        raise ValidationError({EXTRA: "It is an object of names and values."})
    using = router.db_for_write(type(instance), instance=instance)
    defined = type(instance).pgcraft_extra
    readable = readable_columns(defined, using)
    if readable is not None and not readable >= {"name", "type"}:
        return  # the database says it, also to who may not read the definitions
    definitions = defined._base_manager.using(using)
    types = dict(definitions.filter(name__in=instance.extra).values_list("name", "type"))
    wrong = [
        f"{json.dumps(value, ensure_ascii=False)} is no {types[name]}, which {name} has to be."
        if name in types
        else f"{name} is not defined."
        for name, value in instance.extra.items()
        if name not in types or not _is(types[name], value)
    ]
    if wrong:
        raise ValidationError({EXTRA: wrong})


def _is(type_: str, value: Any) -> bool:
    if type_ in ("number", "integer"):
        return isinstance(value, int if type_ == "integer" else (int, float)) and not isinstance(value, bool)
    if type_ == "boolean":
        return isinstance(value, bool)
    if type_ == "text" or not isinstance(value, str):
        return isinstance(value, str)
    parse, form = (parse_date, _DATE) if type_ == "date" else (parse_datetime, _DATETIME)
    try:
        return form.fullmatch(value) is not None and parse(value) is not None
    except ValueError:  # no such day
        return False
