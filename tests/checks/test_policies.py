"""`policies` in `class PGCraft`."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models
from django.db.models import F, Q

from pgcraft_django.models import PGCraftEAV, PGCraftForeignKey, PGCraftSimple
from pgcraft_django.policies import Claim, OwnerPolicy, Policy, PublicReadPolicy, TenantOwnerPolicy, TenantPolicy
from pgcraft_django.policies.conditions import render
from tests.checks.declare import expect, messages, model


def test_good_policies_are_right(apps: Apps) -> None:
    model(
        apps,
        owner=models.TextField(db_index=True),
        tenant=models.TextField(),
        parent=models.ForeignKey("self", models.CASCADE, null=True),
        pgcraft={
            "policies": [
                OwnerPolicy("owner"),
                TenantOwnerPolicy("tenant", "owner"),
                Policy("parent", using=Q(parent__parent__owner=Claim("sub")), commands=["select", "delete"]),
                Policy("new", check="true", commands=["insert"]),
                PublicReadPolicy(roles=["anon"]),
            ]
        },
    )
    assert messages(apps) == []


@pytest.mark.parametrize("wrong", [OwnerPolicy("name"), ["owner"], "owner"])
def test_policies_are_a_list_of_policies(apps: Apps, wrong: Any) -> None:
    model(apps, pgcraft={"policies": wrong})
    expect(messages(apps), "E101", 'policies = [OwnerPolicy("user")]')


def test_each_policy_has_a_name_of_its_own(apps: Apps) -> None:
    model(apps, pgcraft={"policies": [PublicReadPolicy(), PublicReadPolicy()]})
    expect(messages(apps), "E102", 'name="public_read_2"')


@pytest.mark.parametrize("name", ["", "x" * 64, 1])
def test_a_name_is_one_that_can_be_held(apps: Apps, name: Any) -> None:
    model(apps, pgcraft={"policies": [PublicReadPolicy(name=name)]})
    expect(messages(apps), "E102", 'Policy("owner"')


@pytest.mark.parametrize(("commands", "line"), [(["selekt"], "select"), ("select", "select"), ([], "select"), (1, "")])
def test_commands_are_known(apps: Apps, commands: Any, line: str) -> None:
    model(apps, pgcraft={"policies": [PublicReadPolicy(commands=commands)]})
    expect(messages(apps), "E103", line)


@pytest.mark.parametrize(("roles", "line"), [(["boss"], '"boss"'), ("anon", '["anon"]')])
def test_roles_are_those_of_requests(apps: Apps, roles: Any, line: str) -> None:
    model(apps, pgcraft={"policies": [PublicReadPolicy(roles=roles)]})
    expect(messages(apps), "E104", line)


@pytest.mark.parametrize("using", [None, Q(nothing=1), Q(name__nothing=1), F("name"), 7, Q(owner__age=Claim("sub"))])
def test_a_condition_is_one_on_the_row(apps: Apps, using: Any) -> None:
    model(apps, owner=models.ForeignKey("self", models.CASCADE), pgcraft={"policies": [Policy("p", using=using)]})
    expect(messages(apps), "E105", 'Q(user=Claim("sub"))')


def test_a_policy_that_an_index_cannot_help_is_warned_of(apps: Apps) -> None:
    model(apps, tenant=models.TextField(), pgcraft={"policies": [TenantPolicy("tenant")]})
    expect(messages(apps), "W101", "db_index=True")


@pytest.mark.parametrize("base", [PGCraftSimple, PGCraftEAV])
def test_a_percent_sign_in_the_name_of_a_column_is_no_parameter(apps: Apps, base: Any) -> None:
    parent = PGCraftForeignKey("self", models.CASCADE, db_column="100%s")
    made = model(apps, base=base, owner=models.TextField(db_column="a%s"), parent=parent)
    rendered = render(made, Q(owner="x%") & Q(parent__owner="y%"), "p")
    assert ('"a%s"' in rendered.sql, "'x%'" in rendered.sql, '"100%s"' in rendered.sql) == (True, True, True)
    assert """t1."a%s" = 'y%'""" in rendered.functions[0].body
