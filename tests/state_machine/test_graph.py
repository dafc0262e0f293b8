"""Pictures of machines: complete, escaped, the same each time, and made without a database."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models

from pgcraft_django.factories.state_machine.graph import dot, mermaid
from pgcraft_django.models import Transition
from tests.state_machine.orders import declare
from tests.support.manage import ManagedProject, make_project

HOSTILE = 'he said "end" --> #1; <b>\\N</b> : %%\n}'
ODD: dict[str, Any] = {
    "pending": [Transition(HOSTILE, guard=models.Q(note='it\'s "note" \\ 100%')), "end"],
    "lost": ["end", "größe & co"],
}
SHOP = """
from django.db import models
from pgcraft_django.models import PGCraftSimple, PGCraftStateMachine, Transition

class Person(PGCraftSimple):
    pass

class Order(PGCraftStateMachine):
    state = models.TextField(default="pending")
    total = models.IntegerField(default=0)

    class PGCraft:
        transitions = {"pending": [Transition("paid", guard=models.Q(total__gt=0))]}

class Parcel(PGCraftStateMachine):
    state = models.TextField(default="packed", choices=[("packed", "Packed"), ("sent", "Sent"), ("lost", "Lost")])

    class PGCraft:
        transitions = {"packed": ["sent"]}
"""


def machine(ways: dict[str, Any] | None = None, /) -> Any:
    options = {"transitions": ways} if ways else {}
    fields = {"state": models.TextField(default="pending")} if ways else {}
    return declare(Apps(), fields=fields, **options).state_machine  # type: ignore[attr-defined]


def test_mermaid_has_begin_transitions_guards_and_ends() -> None:
    assert mermaid([machine()]) == (
        "stateDiagram-v2\n"
        "    [*] --> pending\n"
        "    pending --> confirmed : total #62; 0\n"
        "    pending --> cancelled\n"
        "    confirmed --> shipped\n"
        "    confirmed --> cancelled\n"
        "    shipped --> [*]\n"
        "    cancelled --> [*]\n"
    )


def test_dot_has_begin_transitions_guards_and_ends() -> None:
    assert dot([machine()]) == (
        "digraph states {\n"
        "    rankdir=LR\n"
        "    node [shape=box, style=rounded]\n"
        "    subgraph cluster_0 {\n"
        '        label="shop.Order"\n'
        "        m0 [shape=point, width=0.15]\n"
        '        m0_0 [label="pending"]\n'
        '        m0_1 [label="confirmed"]\n'
        '        m0_2 [label="shipped", peripheries=2]\n'
        '        m0_3 [label="cancelled", peripheries=2]\n'
        "        m0 -> m0_0\n"
        '        m0_0 -> m0_1 [label="total > 0"]\n'
        "        m0_0 -> m0_3\n"
        "        m0_1 -> m0_2\n"
        "        m0_1 -> m0_3\n"
        "    }\n"
        "}\n"
    )


def test_nothing_in_a_name_or_guard_means_something_in_mermaid() -> None:
    lines = mermaid([machine(ODD)]).splitlines()
    declared = dict(re.match(r'    state "(.*)" as (\w+)', line).groups()[::-1] for line in lines if " as " in line)
    assert {decoded(text) for text in declared.values()} == {HOSTILE, "end", "größe & co"}
    text = r"[\w .,()='+*/!?#;-]+"
    statement = re.compile(
        rf'stateDiagram-v2|    (state "{text}" as m_\d|(\[\*\]|\w+) --> (\[\*\]|\w+)( : {text})?'
        r"|classDef unreachable stroke-dasharray: 4 4|class \w+ unreachable)"
    )
    assert [line for line in lines if not statement.fullmatch(line)] == []
    [label] = [line.partition(" : ")[2] for line in lines if " : " in line]
    assert decoded(label).replace("E'", "'") == "note = 'it''s \"note\" \\\\ 100%'"


def decoded(text: str) -> str:
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), text)


def test_nothing_in_a_name_or_guard_means_something_in_dot() -> None:
    text = dot([machine(ODD)])
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
    read = [re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), string) for string in strings]
    assert {HOSTILE, "end", "größe & co", "lost"} <= set(read)
    outside = re.sub(r'"((?:[^"\\]|\\.)*)"', '""', text)
    assert re.fullmatch(r'[\w\s{}=,.>\[\]"-]+', outside)
    assert (outside.count("{"), outside.count("}")) == (2, 2)


def test_a_state_that_no_row_gets_to_is_seen() -> None:
    ways = {"pending": ["done"], "lost": ["done"]}
    assert "    classDef unreachable stroke-dasharray: 4 4\n    class lost unreachable\n" in mermaid([machine(ways)])
    assert 'm0_2 [label="lost", style="rounded,dashed"]\n' in dot([machine(ways)])
    assert "unreachable" not in mermaid([machine()])
    assert "dashed" not in dot([machine()])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> ManagedProject:
    """A project whose database nobody can reach."""
    project = make_project(tmp_path_factory.mktemp("graph"), "nothing_of_this_name")
    nowhere = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "/nowhere", "PORT": "1"}
    project.settings(DATABASES={"default": nowhere})
    project.models(SHOP)
    return project


def graph(project: ManagedProject, *arguments: str, status: int = 0) -> str:
    return project.manage("pgcraft_graph", *arguments, status=status)


def test_without_a_name_all_machines_are_one_diagram_the_same_each_time(project: ManagedProject) -> None:
    text = graph(project)
    assert re.findall(r'^    state "(.*?)" as (\w+) \{$', text, re.MULTILINE) == [
        ("shop.Order", "m0"),
        ("shop.Parcel", "m1"),
    ]
    assert "        m0_0 --> m0_1 : total #62; 0\n" in text
    assert '        state "lost" as m1_2\n' in text
    assert text.endswith("    classDef unreachable stroke-dasharray: 4 4\n    class m1_2 unreachable\n")
    assert graph(project, "SHOP.order", "shop.Parcel") == text


def test_named_machines_are_drawn_as_dot(project: ManagedProject) -> None:
    text = graph(project, "shop.Order", "--format", "dot")
    assert re.findall(r'label="([\w.]+)"', text) == ["shop.Order", "pending", "paid"]


def test_what_cannot_be_drawn_is_said_in_one_line(project: ManagedProject) -> None:
    for name in ("shop.Person", "shop.Nobody", "Order"):
        message = f'CommandError: No model \'{name}\' has states. Those that do are "shop.Order", "shop.Parcel".\n'
        assert graph(project, name, status=1).endswith(message)
    assert "invalid choice: 'png'" in graph(project, "--format", "png", status=2)


def test_without_any_machine_that_is_said(tmp_path: Path) -> None:
    project = make_project(tmp_path, "nothing_of_this_name")
    message = "CommandError: No model is a PGCraftStateMachine, so there is nothing to print.\n"
    assert graph(project, status=1) == message
