"""Grants, in `DEFAULT_GRANTS` and in `API(grants=…)`: a mapping of request roles to lists of privileges."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage

from pgcraft_django.api import ALL, PRIVILEGES
from pgcraft_django.conf import get_config, is_names
from pgcraft_django.messages import corrected, error, listed, nearest, source


def check_grants(grants: object, *, place: str, obj: Any = None) -> Iterator[CheckMessage]:
    """Judge `grants`; `place` is what is written before them: `grants=`."""
    if not isinstance(grants, Mapping):
        roles = corrected([grants], get_config().request_roles) or get_config().request_roles
        example = source({role: ["select"] for role in roles[:1]})
        yield error(
            "E013",
            f"{place}… is of type {type(grants).__name__}; it must map each role to a list of its privileges.",
            hint=f"Write {place}{example}",
            obj=obj,
        )
        return
    for role, privileges in grants.items():
        if not isinstance(role, str):
            yield error(
                "E013",
                f"{place}… has {role!r} where the name of a role belongs.",
                hint=f"Write {place}{source({name: ['select'] for name in get_config().request_roles[:1]})}",
                obj=obj,
            )
            continue
        if role not in get_config().request_roles:
            yield _unknown_role(role, place, obj)
        yield from _check_privileges(role, privileges, place, obj)


def _unknown_role(role: str, place: str, obj: Any) -> CheckMessage:
    config = get_config()
    if role in {config.authenticator_role, "public", "none"}:
        hint = f"Grant to request roles by name: {listed(config.request_roles)}"
    else:
        near = nearest(role, config.request_roles)
        hint = f"Write {source(near)} here, or add the role: " if near else "Write "
        hint += f'"ROLES": {source(sorted({*config.roles, role}))} in PGCRAFT'
    return error("E014", f"{place}… names the role {role!r}, which no request can switch to.", hint=hint, obj=obj)


def _check_privileges(role: str, privileges: object, place: str, obj: Any) -> Iterator[CheckMessage]:
    if privileges == ALL:
        return
    if not is_names(privileges):
        words = re.findall(r"\w+", privileges) if isinstance(privileges, str) else []
        yield error(
            "E013",
            f'{place}… gives {role!r} {privileges!r}; privileges are a list of names, or "all".',
            hint=f"Write {source(role)}: {_meant(words)}",
            obj=obj,
        )
    elif unknown := [name for name in privileges if name not in PRIVILEGES]:  # type: ignore[attr-defined]
        yield error(
            "E015",
            f"{place}… gives {role!r} {listed(unknown)}; the privileges are {listed(PRIVILEGES)}.",
            hint=f"Write {source(role)}: {_meant(privileges)}",  # type: ignore[arg-type]
            obj=obj,
        )


def _meant(words: list[str]) -> str:
    if any(word.lower() == ALL for word in words):
        return source(ALL)
    return source(corrected(words, PRIVILEGES) or ["select"])
