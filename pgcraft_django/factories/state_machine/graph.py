"""A machine as a picture: text for Mermaid or Graphviz, always the same for the same declaration.

A row begins at the black dot. A state without a way out ends at one (Mermaid) or has a double line (DOT), and a state
that no row can get to has a dashed one. Beside a transition stands its guard.
"""

import re
from collections.abc import Iterator, Sequence

from pgcraft_django.conditions import condition_sql
from pgcraft_django.factories.state_machine.machine import Machine, Transition

# Texts of SQL stay as they are; names that need no quotes are read better without them.
_TEXT_OR_NAME = re.compile(r"('(?:[^']|'')*')|\"([a-z_][a-z0-9_]*)\"")
_PLAIN = re.compile(r"(?!m_)[A-Za-z_][A-Za-z0-9_]*")
_KEYWORDS = {
    *("as", "class", "classdef", "click", "default", "direction", "end", "hide", "note", "scale", "state", "style"),
    *("acctitle", "accdescr", "choice", "fork", "join", "href", "root"),
}
"""What begins something else in Mermaid, in lower case."""


def mermaid(machines: Sequence[Machine]) -> str:
    """Return one `stateDiagram-v2`; several machines are boxes of it."""
    lines = ["stateDiagram-v2"]
    if len(machines) == 1:
        lines += (f"    {line}" for line in _mermaid_machine(machines[0], ""))
    else:
        for number, machine in enumerate(machines):
            lines.append(f'    state "{_mermaid_text(machine.model._meta.label)}" as m{number} {{')
            lines += (f"        {line}" for line in _mermaid_machine(machine, f"m{number}_"))
            lines.append("    }")
    if any(machine.unreachable for machine in machines):
        lines.append("    classDef unreachable stroke-dasharray: 4 4")
        for number, machine in enumerate(machines):
            prefix = f"m{number}_" if len(machines) > 1 else ""
            names = _mermaid_names(machine, prefix)
            lines += (f"    class {names[state]} unreachable" for state in machine.unreachable)
    return "\n".join(lines) + "\n"


def _mermaid_machine(machine: Machine, prefix: str) -> Iterator[str]:
    names = _mermaid_names(machine, prefix)
    for state, name in names.items():
        if name != state:
            yield f'state "{_mermaid_text(state)}" as {name}'
        elif not any(state in (before, way.to) for before, way in machine.ways()):
            yield name
    yield f"[*] --> {names[machine.initial]}"
    for state, way in machine.ways():
        label = guard_label(machine, way)
        yield f"{names[state]} --> {names[way.to]}{f' : {_mermaid_text(label)}' if label else ''}"
    for state in machine.final:
        yield f"{names[state]} --> [*]"


def _mermaid_names(machine: Machine, prefix: str) -> dict[str, str]:
    """Return state -> what the diagram calls it: itself, if Mermaid can take that."""
    return {
        state: state
        if not prefix and _PLAIN.fullmatch(state) and state.lower() not in _KEYWORDS
        else f"{prefix or 'm_'}{number}"
        for number, state in enumerate(machine.states)
    }


def _mermaid_text(text: str) -> str:
    """Write what could mean something as the number of its character."""
    return re.sub(r"[^\w .,()='+*/!?-]", lambda found: f"#{ord(found[0])};", text)


def dot(machines: Sequence[Machine]) -> str:
    """Return one `digraph`, in which each machine is a cluster."""
    lines = ["digraph states {", "    rankdir=LR", "    node [shape=box, style=rounded]"]
    for number, machine in enumerate(machines):
        lines += [f"    subgraph cluster_{number} {{", f"        label={_dot_text(machine.model._meta.label)}"]
        lines += (f"        {line}" for line in _dot_machine(machine, f"m{number}"))
        lines.append("    }")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_machine(machine: Machine, prefix: str) -> Iterator[str]:
    names = {state: f"{prefix}_{number}" for number, state in enumerate(machine.states)}
    missing = machine.unreachable
    yield f"{prefix} [shape=point, width=0.15]"
    for state, name in names.items():
        attributes = [f"label={_dot_text(state)}"]
        attributes += ["peripheries=2"] if state in machine.final else []
        attributes += ['style="rounded,dashed"'] if state in missing else []
        yield f"{name} [{', '.join(attributes)}]"
    yield f"{prefix} -> {names[machine.initial]}"
    for state, way in machine.ways():
        label = guard_label(machine, way)
        yield f"{names[state]} -> {names[way.to]}{f' [label={_dot_text(label)}]' if label else ''}"


def _dot_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def guard_label(machine: Machine, way: Transition) -> str:
    """Return the guard as PostgreSQL is asked it, or an empty text. Raises `FieldError` for one that checks refuse."""
    if way.guard is None:
        return ""
    condition, _ = condition_sql(machine.model, way.guard)
    return _TEXT_OR_NAME.sub(lambda found: found[1] or found[2], condition)


FORMATS = {"mermaid": mermaid, "dot": dot}
"""What `pgcraft_graph --format` takes."""
