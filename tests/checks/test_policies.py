"""`policies` in `class PGCraft`."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.auth.models import User
from django.core.checks import ERROR
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Subquery

from pgcraft_django import register
from pgcraft_django.api import API
from pgcraft_django.models import PGCraftEAV, PGCraftForeignKey, PGCraftSimple
from pgcraft_django.plugins import Balance
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


def owned(apps: Apps, name: str, **pgcraft: Any) -> type[models.Model]:
    """Define an abstract model with a policy."""
    policies = {"policies": [PublicReadPolicy(name=name.lower())]}
    return model(apps, name, meta={"abstract": True}, pgcraft={**policies, **pgcraft})


def test_policies_of_a_parent_are_not_lost_without_a_word(apps: Apps) -> None:
    model(apps, base=owned(apps, "Owned"), pgcraft={"api": API(grants={"webuser": "all"})})
    expect(messages(apps), "W102", "policies = [*Owned.PGCraft.policies]")


def test_policies_of_a_second_parent_are_not_lost_without_a_word(apps: Apps) -> None:
    model(apps, base=(owned(apps, "Owned"), owned(apps, "Tenanted")))
    expect(messages(apps), "W102", "Tenanted.PGCraft.policies")


@pytest.mark.parametrize("how", ["inherited", "extended", "none", "decided by the parent"])
def test_policies_of_a_parent_count_or_are_meant_not_to(apps: Apps, how: str) -> None:
    parent: Any = owned(apps, "Owned")
    if how == "decided by the parent":
        parent = model(apps, "Open", base=parent, meta={"abstract": True}, pgcraft={"policies": []})
    inner = {"extended": type("PGCraft", (parent.PGCraft,), {"schema": "private"}), "none": {"policies": []}}
    model(apps, base=parent, pgcraft=inner.get(how))
    assert messages(apps) == []


def test_one_for_several_commands_does_not_take_the_name_of_another(apps: Apps) -> None:
    """There was one policy in the place of the two."""
    hidden = Policy("owner_select", commands=["select"], using=Q(name="x"), permissive=False)
    model(apps, pgcraft={"policies": [hidden, OwnerPolicy("name", commands=["select", "delete"])]})
    expect([item for item in messages(apps) if item.level >= ERROR], "E102", 'name="owner_select_2"')


def test_no_policy_of_a_table_gets_the_function_of_another_ones(apps: Apps) -> None:
    """It let in who the other one lets in."""
    for name, table, policy, claim in (("One", "a", "b_c", "sub"), ("Two", "a_b", "c", "boss")):
        model(
            apps,
            name,
            meta={"db_table": table},
            parent=models.ForeignKey("self", models.CASCADE, null=True),
            pgcraft={"policies": [Policy(policy, using=Q(parent__name=Claim(claim)))]},
        )
    expect(messages(apps), "E102", "another name=")


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


SUBQUERIES = [
    Exists(User.objects.filter(username=OuterRef("name"))),
    Q(name=Subquery(User.objects.values("username")[:1])),
    Q(name__in=["x", Subquery(User.objects.values("username")[:1])]),
    Q(owner__name__in=User.objects.values("username")),
]


@pytest.mark.parametrize("using", SUBQUERIES)
def test_a_subquery_is_refused(apps: Apps, using: Any) -> None:
    """In a policy `name` would be that of the users, and everybody be let in."""
    model(apps, owner=models.ForeignKey("self", models.CASCADE), pgcraft={"policies": [Policy("p", using=using)]})
    [found] = messages(apps)
    assert (found.id, "it has a subquery" in found.msg) == ("pgcraft_django.E105", True)


UNFIT = (
    *({"name__isnull": Claim("sub")}, {"id__gt": [Claim("sub")]}, {"made__gt": [Claim("sub")]}),
    {"name__in": Claim("names")},
)


@pytest.mark.parametrize(
    "using",
    [
        *(None, Q(nothing=1), Q(name__nothing=1), F("name"), 7, Q(owner__age=Claim("sub"))),
        *(Q(**{f"{path}{name}": value}) for item in UNFIT for name, value in item.items() for path in ("", "owner__")),
    ],
)
def test_a_condition_is_one_on_the_row(apps: Apps, using: Any) -> None:
    fields = {"owner": models.ForeignKey("self", models.CASCADE), "made": models.UUIDField(null=True)}
    model(apps, pgcraft={"policies": [Policy("p", using=using)]}, **fields)
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
    assert """"t1"."a%s" = 'y%'""" in rendered.functions[0].body


def plain(apps: Apps, name: str = "Group", **options: Any) -> Any:
    meta = type("Meta", (), {"apps": apps, "app_label": "library", **options})
    bases = (apps.get_model("library", "Group"),) if options.get("proxy") else (models.Model,)
    fields = {} if options.get("proxy") else {"owner": models.TextField()}
    return type(name, bases, {"__module__": __name__, "Meta": meta, **fields})


CLOSED = API(grants={})
MINE: Any = [OwnerPolicy("owner", name="mine")]


@pytest.mark.parametrize(
    ("policies", "number", "line"),
    [
        (["owner"], "E101", 'register(Group, policies=[OwnerPolicy("user")])'),
        ([OwnerPolicy("user")], "E105", "with the names of fields of Group"),
        (MINE, "W101", "SILENCED_SYSTEM_CHECKS"),
    ],
)
def test_what_register_is_given_is_judged_too(apps: Apps, policies: Any, number: str, line: str) -> None:
    register(plain(apps), api=CLOSED, policies=policies, app_label="shop")
    expect(messages(apps), number, line)


def test_policies_are_given_to_a_table_and_not_to_a_proxy(apps: Apps) -> None:
    plain(apps)
    register(plain(apps, "Copy", proxy=True), api=[], policies=[PublicReadPolicy()], app_label="shop")
    expect(messages(apps), "E106", "register(Group, policies=…)")


def test_policies_are_given_in_one_place(apps: Apps) -> None:
    register(model(apps, pgcraft={"api": None}), api=[], policies=[PublicReadPolicy()], app_label="shop")
    expect(messages(apps), "E106", "class PGCraft of Person")


def test_policies_are_given_once(apps: Apps) -> None:
    group = plain(apps)
    for label in ("shop", "library"):
        register(group, api=[], policies=[PublicReadPolicy()], app_label=label)
    expect(messages(apps), "E106", "in one register(Group, policies=[…])")


def test_no_policy_takes_the_place_of_another_models_on_the_same_table(apps: Apps) -> None:
    """The last one was made, and let in who the other one kept out."""
    register(plain(apps), api=CLOSED, policies=[OwnerPolicy("owner")], app_label="shop")
    mirror = plain(apps, "Mirror", managed=False, db_table="library_group")
    register(mirror, api=API(name="mirror", grants={}), policies=[PublicReadPolicy(name="owner")], app_label="shop")
    found = [item for item in messages(apps) if item.level >= ERROR]
    expect(found, "E102", "another name=")
    assert "library.Group and library.Mirror would be one: policy owner of public.library_group" in found[0].msg


def test_policies_are_given_where_the_table_is_exposed(apps: Apps) -> None:
    """One app's migrations may come before those of the other, and alone."""
    group = plain(apps)
    register(group, api=CLOSED, app_label="library")
    register(group, api=[], policies=[PublicReadPolicy()], app_label="shop")
    expect(messages(apps), "E106", "both in one register(Group, api=API(), policies=[…])")


@pytest.mark.parametrize(
    ("made", "positional"),
    [
        (Policy, ["mine"]),
        (OwnerPolicy, ["owner"]),
        (TenantPolicy, ["tenant"]),
        (TenantOwnerPolicy, ["tenant", "owner"]),
        (PublicReadPolicy, []),
        (API, []),
        (Balance, [["shelf"]]),
    ],
)
def test_a_misspelt_argument_is_told_where_it_is_written_with_the_class_that_was_meant(
    made: Any, positional: list[Any]
) -> None:
    with pytest.raises(TypeError, match=rf"^{made.__name__}\.__init__\(\) got an unexpected .* 'claims'$") as told:
        made(*positional, claims="sub")
    assert len(told.traceback) == 1  # this line
