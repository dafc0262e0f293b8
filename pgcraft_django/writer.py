"""How objects look in a migration file: one argument a line, SQL as the lines a person would write."""

import re
from collections.abc import Mapping
from typing import Any

from django.db.migrations.serializer import BaseSerializer

from pgcraft_django import objects
from pgcraft_django.objects import DatabaseObject

INDENT = "    "
WIDTH = 108


def _indented(text: str) -> str:
    return re.sub(r"^", INDENT, text, flags=re.MULTILINE)


def render(value: Any) -> str:
    """Return Python source for a literal or an object, over several lines where that reads better."""
    if isinstance(value, DatabaseObject):
        parts = [f"{name}={render(argument)}" for name, argument in value.constructor_arguments().items()]
        head = f"{objects.__name__}.{type(value).__name__}("
        short = f"{head}{', '.join(parts)})"
        if len(short) <= WIDTH and "\n" not in short:
            return short
        return "\n".join([head, *(_indented(f"{part},") for part in parts), ")"])
    if isinstance(value, str):
        if "\n" not in value:
            return repr(value)
        return "\n".join(["(", *(_indented(repr(line)) for line in value.splitlines(keepends=True)), ")"])
    short = repr(value)
    if len(short) <= WIDTH and "\\n" not in short:
        return short
    if isinstance(value, Mapping):
        lines = [f"{render(key)}: {render(item)}," for key, item in value.items()]
        return "\n".join(["{", *map(_indented, lines), "}"])
    if isinstance(value, list | tuple):
        opening, closing = "[]" if isinstance(value, list) else "()"
        return "\n".join([opening, *(_indented(f"{render(item)},") for item in value), closing])
    return short


class ObjectSerializer(BaseSerializer):
    """Serializer of one object for Django's migration writer."""

    def serialize(self) -> tuple[str, set[str]]:
        return render(self.value), {f"import {objects.__name__}"}
