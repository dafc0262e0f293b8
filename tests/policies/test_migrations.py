"""Policies come, change and go like everything else."""

import json
import secrets
from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.postgres.indexes import HashIndex
from django.db import connections, models, transaction
from django.db.models import F, Q

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftForeignKey, PGCraftLedger, PGCraftSimple
from pgcraft_django.plugins import Balance
from pgcraft_django.policies import Claim, OwnerPolicy, Policy, PublicReadPolicy
from tests.eav.catalogue import define
from tests.support.catalog import differences
from tests.support.databases import run_sql
from tests.support.world import Site, World, new_site


def declare(
    apps: Apps, *policies: Policy, base: Any = PGCraftSimple, table: str = "notes", tenant: Any = None, **more: Any
) -> None:
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": table})
    inner = type("PGCraft", (), {"policies": list(policies), "api": API(grants={"webuser": "all"}), **more})
    fields = {"owner": models.TextField(db_index=True), "tenant": tenant or models.TextField(db_index=True)}
    parent = PGCraftForeignKey("self", models.CASCADE, null=True)
    type("Note", (base,), {"__module__": __name__, "Meta": meta, "PGCraft": inner, **fields, "parent": parent})


def security(site: Site) -> tuple[set[Any], set[Any]]:
    """Return the tables with row-level security, and the policies."""
    catalog = site.catalog()
    return {row[1] for row in catalog["relations"] if row[4]}, {row[1:4] for row in catalog["policies"]}


STEPS: list[Any] = [
    lambda apps: declare(apps),
    lambda apps: declare(apps, OwnerPolicy("owner")),
    lambda apps: declare(apps, OwnerPolicy("owner", commands=["select", "update"]), PublicReadPolicy(roles=["anon"])),
    lambda apps: declare(apps, OwnerPolicy("tenant"), base=PGCraftAppendOnly),
    lambda apps: declare(apps, Policy("owner", using=Q(parent__owner=Claim("sub"))), base=PGCraftAppendOnly),
    lambda apps: declare(
        apps,
        Policy("owner", using=Q(parent__owner=Claim("sub"))),
        Policy("sql", using="tenant = 'x'"),
        base=PGCraftAppendOnly,
        table="Odd notes",
        schema="other",
    ),
    lambda apps: declare(
        apps,
        Policy("owner", using=Q(parent__tenant=Claim("sub"))),
        Policy("sql", using="owner::text = 'x'"),
        base=PGCraftAppendOnly,
        table="Odd notes",
        schema="other",
        tenant=models.CharField(max_length=20, db_index=True, db_column="Tenant of order"),
    ),
    lambda apps: declare(apps, base=PGCraftAppendOnly),
]


ATTRIBUTE_STEPS: list[Any] = [
    lambda apps: declare(apps, base=PGCraftEAV),
    lambda apps: declare(apps, OwnerPolicy("owner"), base=PGCraftEAV, extra=True),
    lambda apps: declare(
        apps,
        Policy("owner", using=Q(parent__tenant=Claim("sub"))),
        Policy("sql", using="tenant::text = current_user", commands=["select"]),
        base=PGCraftEAV,
        extra=True,
        tenant=models.CharField(max_length=20, db_index=True),
        api=[API(grants={"webuser": ["select", "insert"]}), API("less", columns=["id", "owner"])],
    ),
    lambda apps: declare(apps, base=PGCraftEAV),
]


@pytest.mark.parametrize("steps", [STEPS, ATTRIBUTE_STEPS], ids=["rows", "attributes"])
def test_every_change_is_found_and_the_same_at_once_and_backwards(unblocked: None, steps: list[Any]) -> None:
    world = World()
    with new_site() as site:
        for step in steps:
            before = site.catalog()
            made = world.evolve(step)
            site.migrate(made)
            for _ in made:
                site.unmigrate()
            assert differences(site.catalog(), before) == {}
            site.migrate(made)
            fresh = World()
            fresh.evolve(step)
            with new_site() as other:
                other.migrate(fresh.order)
                assert security(site) == security(other)


def test_a_table_is_closed_as_soon_as_it_has_a_policy_and_open_when_it_has_none(site: Site) -> None:
    world = World()
    site.migrate(world.evolve(STEPS[1]))
    assert security(site) == ({"notes"}, {("notes", "owner", "*")})
    site.migrate(world.evolve(STEPS[3]))
    assert security(site) == (
        {"notes", "notes_history"},
        {("notes", "owner", "*"), ("notes_history", "owner", "r")},
    )
    site.migrate(world.evolve(STEPS[0]))
    assert security(site)[1] == set()


@pytest.mark.parametrize(
    "index",
    [
        HashIndex(fields=["owner"], name="by_owner"),
        models.Index(fields=["owner"], name="by_short_owner", condition=Q(owner__in=["a", "b"])),
    ],
    ids=lambda index: type(index).__name__,
)
def test_no_index_of_a_history_refuses_what_its_table_takes(site: Site, index: models.Index) -> None:
    fields = {"owner": models.TextField(), "text": models.TextField(null=True)}
    options = {"api": API(grants={"webuser": "all"}), "history_api": API(grants={"webuser": ["select"]})}
    policies = [OwnerPolicy("owner")]
    site.migrate(
        World().evolve(
            lambda apps: define(
                apps, "Note", "notes", PGCraftAppendOnly, fields, {"indexes": [index]}, policies=policies, **options
            )
        )
    )
    site.query("INSERT INTO notes (owner) SELECT string_agg(md5(i::text), '') FROM generate_series(1, 2000) AS i")
    site.query("UPDATE notes SET text = 'a'")
    site.query("DELETE FROM notes")
    assert site.query("SELECT length(owner) FROM notes_history") == [(64_000,), (64_000,)]


def test_a_key_that_is_called_pk_is_that_of_the_row_in_its_history_too(site: Site) -> None:
    policies = [Policy("key", using=Q(pk=Claim("id")) | Q(~Q(pk__in=[1]), id__gt=F("pk")))]
    site.migrate(World().evolve(lambda apps: declare(apps, *policies, base=PGCraftAppendOnly)))
    read = """
        SELECT DISTINCT attname FROM pg_policy
        JOIN pg_depend ON (classid, objid) = ('pg_policy'::regclass, pg_policy.oid) AND refobjid = polrelid
        JOIN pg_attribute ON (attrelid, attnum) = (refobjid, refobjsubid)
        WHERE polrelid = 'notes_history'::regclass
    """
    assert site.query(read) == [("id",)]


def test_a_balance_is_closed_if_a_policy_speaks_of_single_entries(site: Site) -> None:
    balance = Balance(dimensions=["owner"], api=API(grants={"webuser": ["select"]}))
    policies = [Policy("entry", using=Q(id=Claim("id"))), OwnerPolicy("owner", roles=["staff"])]
    fields = {"owner": models.TextField(db_index=True)}
    made = World().evolve(
        lambda apps: define(apps, "Note", "notes", PGCraftLedger, fields, policies=policies, plugins=[balance])
    )
    site.migrate(made)
    found = site.query("SELECT polname FROM pg_policy WHERE polrelid = 'notes_balance'::regclass")
    assert found == [("owner",)]


def test_what_restricts_a_table_and_cannot_be_said_of_its_history_closes_that(site: Site) -> None:
    children = Policy("children", using=Q(children__owner="x"), permissive=False)
    parent = PGCraftForeignKey("self", models.CASCADE, null=True, related_name="children")
    fields = {"owner": models.TextField(db_index=True), "parent": parent}
    policies = [OwnerPolicy("owner"), children]
    made = World().evolve(lambda apps: define(apps, "Note", "notes", PGCraftAppendOnly, fields, policies=policies))
    site.migrate(made)
    restricting = (
        "SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE NOT polpermissive AND polrelid = %s::regclass"
    )
    assert site.query(restricting, ["notes_history"]) == [("false",)]
    assert site.query(restricting, ["notes"]) != [("false",)]


def test_a_policy_for_a_group_lets_its_members_see_what_is_behind_a_relation(site: Site) -> None:
    member = f"member_{secrets.token_hex(4)}"
    owner = connections[site.alias].settings_dict["USER"]
    run_sql(f"CREATE ROLE {member} INHERIT ROLE {owner}")
    try:
        api = API(grants={member: ["select"]})
        policy = Policy("parent", using=Q(parent__owner=Claim("sub")), roles=["webuser"])
        site.migrate(World().evolve(lambda apps: declare(apps, policy, base=PGCraftEAV, api=api, attribute_api=api)))
        run_sql(f"GRANT webuser TO {member}")
        site.query("INSERT INTO notes (owner, tenant) VALUES ('ann', 'a')")
        site.query("INSERT INTO notes (owner, tenant, parent_id) SELECT 'bob', 'b', id FROM notes")
        for sub, seen in (("ann", ["bob"]), ("bob", [])):
            claims = json.dumps({"sub": sub})
            with transaction.atomic(using=site.alias):
                site.query(f"SET LOCAL ROLE {member}")
                site.query("SELECT set_config('request.jwt.claims', %s, true)", [claims])
                assert site.query("SELECT owner FROM api.notes") == [(owner,) for owner in seen]
                assert site.query("SELECT new_value FROM api.notes_attribute WHERE attribute = 'owner'") == [
                    (json.dumps(owner),) for owner in seen
                ]
    finally:
        database = connections[site.alias].settings_dict["NAME"]
        run_sql(f"DROP OWNED BY {member}", database=database)
        run_sql(f"DROP ROLE {member}")
