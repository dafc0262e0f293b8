"""Declarations of states and transitions."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.admin import AdminSite
from django.db import models
from django.db.models import Q

from pgcraft_django.admin import StateMachineAdmin
from pgcraft_django.models import PGCraftStateMachine, Transition
from tests.checks.declare import expect, messages, model

WAYS = {"a": ["b"]}


def machine(apps: Apps, state: models.Field | None = None, /, **options: Any) -> None:
    fields = {} if state is False else {"state": state or models.TextField(default="a")}
    model(apps, base=PGCraftStateMachine, pgcraft={"transitions": WAYS, **options}, **fields)


def test_a_right_one_has_nothing_wrong(apps: Apps) -> None:
    machine(apps, transition_fields={"note": models.TextField(null=True)}, transition_grants={"webuser": ["b"]})
    assert messages(apps) == []


@pytest.mark.parametrize("state", [False, models.IntegerField(default=1)])
def test_a_state_needs_a_field(apps: Apps, state: Any) -> None:
    machine(apps, state)
    expect(messages(apps), "E071", "state = models.TextField(")


def test_a_state_is_never_null(apps: Apps) -> None:
    machine(apps, models.TextField(default="a", null=True))
    expect(messages(apps), "E071", "state = models.TextField(")


def test_another_field_can_hold_the_state(apps: Apps) -> None:
    model(
        apps,
        base=PGCraftStateMachine,
        pgcraft={"transitions": WAYS, "state_field": "phase"},
        phase=models.CharField(max_length=1, default="a"),
    )
    assert messages(apps) == []


@pytest.mark.parametrize(
    "ways",
    [
        None,
        {},
        ["a"],
        {"a": []},
        {"a": "b"},
        {1: ["b"]},
        {"a": [3]},
        {"a": ["b", "b"]},
        {"a": ["b", Transition("b")]},
        {"a": ["a", "b"]},
    ],
)
def test_transitions_lead_from_states_to_states(apps: Apps, ways: Any) -> None:
    machine(apps, transitions=ways)
    expect(messages(apps), "E072", "transitions = {")


def test_a_row_begins_somewhere(apps: Apps) -> None:
    machine(apps, models.TextField())
    expect(messages(apps), "E073", 'state = models.TextField(default="a")')


def test_states_are_among_the_choices(apps: Apps) -> None:
    choices = [("alpha", "A"), ("beta", "B")]
    machine(apps, models.TextField(choices=choices, default="alpha"), transitions={"alpha": ["bet"]})
    found = messages(apps)
    expect([item for item in found if item.id != "pgcraft_django.W071"], "E074", 'Write "beta"')


def test_the_field_has_room_for_each_state(apps: Apps) -> None:
    machine(apps, models.CharField(max_length=4, default="open"), transitions={"open": ["closed"]})
    expect(messages(apps), "E074", "max_length=6")


@pytest.mark.parametrize("guard", [Q(nothing=1), Q(name__nothing=1), "name", Q(other__name="x"), Q(id="x")])
def test_a_guard_is_about_columns_of_the_row(apps: Apps, guard: Any) -> None:
    other = model(apps, "Other")
    options = {"transitions": {"a": [Transition("b", guard=guard)]}}
    model(
        apps,
        base=PGCraftStateMachine,
        pgcraft=options,
        state=models.TextField(default="a"),
        other=models.ForeignKey(other, models.CASCADE),
    )
    expect(messages(apps), "E075", 'Transition("b", guard=Q(…)) over columns of Person')


def test_a_guard_is_about_columns_that_a_trigger_sees(apps: Apps) -> None:
    """PostgreSQL has what it computes when it is read as NULL there, and the guard would never be met."""
    model(
        apps,
        base=PGCraftStateMachine,
        pgcraft={"transitions": {"a": [Transition("b", guard=Q(same="x"))]}},
        state=models.TextField(default="a"),
        same=models.GeneratedField(expression=models.F("name"), output_field=models.TextField(), db_persist=False),
    )
    expect(found := messages(apps), "E075", 'Transition("b", guard=Q(…))')
    assert "'same' is computed when it is read. It takes db_persist=True." in found[0].msg


def test_a_guard_is_not_about_the_state(apps: Apps) -> None:
    """It is asked of the changed row, where the state is the new one: what it was is what the transition says."""
    model(
        apps,
        base=PGCraftStateMachine,
        pgcraft={"transitions": {"a": [Transition("b", guard=Q(name="x") & Q(state="a"))]}},
        state=models.TextField(default="a"),
    )
    expect(found := messages(apps), "E075", 'Transition("b", guard=Q(…))')
    assert "'state' is 'b' there, and no longer what it was. Leave it out." in found[0].msg


@pytest.mark.parametrize(
    "fields",
    [
        3,
        {"note": 3},
        {"note": models.TextField()},
        {"reason": models.TextField(null=True)},
        {"id": models.TextField(null=True)},
        {"note": models.TextField(null=True, db_column="actor")},
        {"by": models.ForeignKey("shop.Person", models.SET_NULL, null=True)},
    ],
)
def test_fields_of_the_log_have_room_there(apps: Apps, fields: Any) -> None:
    machine(apps, transition_fields=fields)
    expect(messages(apps), "E076", "")


@pytest.mark.parametrize(
    "grants", ["webuser", {"nobody": "all"}, {"webuser": "b"}, {"webuser": ["c"]}, {"webuser": [3]}]
)
def test_roles_and_states_of_grants_are_known(apps: Apps, grants: Any) -> None:
    machine(apps, transition_grants=grants)
    expect(messages(apps), "E077", "")


@pytest.mark.parametrize("wrong", ["select", ["select"], {"webuser": "all"}])
def test_transition_api_is_an_api(apps: Apps, wrong: Any) -> None:
    machine(apps, transition_api=wrong)
    expect(messages(apps), "E078", "transition_api = API(")


def test_a_state_that_nothing_leads_to_is_told(apps: Apps) -> None:
    machine(apps, transitions={"a": ["b"], "c": ["a"]})
    expect(messages(apps), "W071", 'Write a way to "c"')


def test_the_state_cannot_be_typed_into_a_list(apps: Apps) -> None:
    machine(apps)
    own: Any = apps.get_model("shop", "Person")
    proxy = model(apps, "Proxy", base=own, meta={"proxy": True})
    for names, numbers in ((["name"], []), (["name", "state"], ["E079"])):
        page = type("Page", (StateMachineAdmin,), {"list_display": ["id", "name", "state"], "list_editable": names})
        for item in (own, proxy):
            found = page(item, AdminSite()).check()
            assert [message.id for message in found] == [f"pgcraft_django.{number}" for number in numbers]
    assert found[0].hint == 'Remove "state" from list_editable'
