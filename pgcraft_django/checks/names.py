"""Names of schemas, roles, tables and columns, wherever they are written: can they be held, and are they free?

`line` is the line to write in a hint, with `"{name}"` where a better name goes.
"""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage

from pgcraft_django.errors import IdentifierError
from pgcraft_django.messages import error, source
from pgcraft_django.naming import check_identifier, shorten

SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}
"""What every table has: https://www.postgresql.org/docs/current/ddl-system-columns.html"""


def check_name(name: str, *, line: str, default: str = "name", obj: Any = None) -> Iterator[CheckMessage]:
    """Judge the name of a table, a column, a resource."""
    if problem := _not_held(name):
        yield error("E011", problem, hint=_hint(line, _possible(name, default)), obj=obj)


def check_column(name: str, *, line: str, obj: Any = None) -> Iterator[CheckMessage]:
    """Judge the name of a column."""
    if name in SYSTEM_COLUMNS:
        yield error(
            "E012", f"The column name {name!r} is reserved by PostgreSQL.", hint=_hint(line, f"{name}_"), obj=obj
        )
    else:
        yield from check_name(name, line=line, obj=obj)


def check_schema(name: str, *, line: str, default: str, obj: Any = None) -> Iterator[CheckMessage]:
    """Judge the name of a schema."""
    if _not_held(name):
        yield from check_name(name, line=line, default=default, obj=obj)
    elif "," in name or name != name.strip():
        message = f"PostgREST cannot take a comma or a space around a name, as in the schema {name!r}."
        yield error("E011", message, hint=_hint(line, name.replace(",", "_").strip() or default), obj=obj)
    elif name.startswith("pg_") or name in {"information_schema", "$user"}:
        # "$user" on a search path is the schema named like the user, quoted or not.
        yield error("E012", f"The schema {name!r} belongs to PostgreSQL itself.", hint=_hint(line, default), obj=obj)


def check_role(name: str, *, line: str, default: str) -> Iterator[CheckMessage]:
    """Judge the name of a role."""
    if _not_held(name):
        yield from check_name(name, line=line, default=default)
    elif name.startswith("pg_") or name in {"public", "none"}:
        yield error("E012", f"The role name {name!r} is reserved by PostgreSQL.", hint=_hint(line, default))


def _hint(line: str, name: str) -> str:
    return "Write " + line.replace('"{name}"', source(name))


def _not_held(name: str) -> str:
    """Return why PostgreSQL cannot hold `name`, or nothing if it can."""
    try:
        check_identifier(name)
    except IdentifierError as problem:
        return str(problem)
    return ""


def _possible(name: str, default: str) -> str:
    """Return a name like `name` that can be held."""
    return shorten(name) if name and name.isprintable() else default
