"""`PGCraftEAV` and `PGCraftForeignKey`: what a model whose relation is a view cannot have."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.postgres.constraints import ExclusionConstraint
from django.db import models
from django.db.models.expressions import RawSQL

from pgcraft_django.models import PGCraftEAV, PGCraftForeignKey, PGCraftSimple
from tests.checks.declare import expect, messages, model


def test_a_model_with_attributes_is_right(apps: Apps) -> None:
    model(apps, base=PGCraftEAV, age=models.IntegerField(null=True, db_index=True))
    model(apps, "Letter", reader=PGCraftForeignKey("shop.Person", models.CASCADE))
    assert messages(apps) == []


@pytest.mark.parametrize("base", [PGCraftSimple, PGCraftEAV, models.Model])
@pytest.mark.parametrize("kind", [models.ForeignKey, models.OneToOneField])
def test_a_plain_foreign_key_to_a_view_is_refused(apps: Apps, base: Any, kind: Any) -> None:
    model(apps, base=PGCraftEAV)
    model(apps, "Letter", base=base, reader=kind("shop.Person", models.CASCADE))
    unique = kind is models.OneToOneField
    expect(messages(apps), "E081", f"PGCraftForeignKey(Person, …{', unique=True' if unique else ''})")
    told: Any = model(apps, "Other", base=base, reader=PGCraftForeignKey("shop.Person", models.CASCADE, unique=True))
    assert told._meta.get_field("reader").check() == []  # where Django recommends a OneToOneField


@pytest.mark.parametrize("base", [PGCraftSimple, PGCraftEAV])
def test_a_foreign_key_to_an_attribute_is_refused(apps: Apps, base: Any) -> None:
    model(apps, base=PGCraftEAV, code=models.TextField(unique=True))
    model(apps, "Letter", base=base, reader=PGCraftForeignKey("shop.Person", models.CASCADE, to_field="code"))
    expect(messages(apps), "E089", "PGCraftForeignKey(Person, …)")


@pytest.mark.parametrize("base", [PGCraftSimple, models.Model])
def test_many_to_many_to_a_view_is_refused(apps: Apps, base: Any) -> None:
    model(apps, base=PGCraftEAV)
    model(apps, "Letter", base=base, readers=models.ManyToManyField("shop.Person"))
    expect(messages(apps), "E084", "readers = models.ManyToManyField(Person, through=…)")


def test_many_to_many_to_a_view_through_a_model_of_the_links_is_right(apps: Apps) -> None:
    model(apps, base=PGCraftEAV)
    model(apps, "Letter", readers=models.ManyToManyField("shop.Person", through="shop.Reading"))
    ends = {"letter": models.ForeignKey("shop.Letter", models.CASCADE)}
    model(apps, "Reading", reader=PGCraftForeignKey("shop.Person", models.CASCADE), **ends)
    assert messages(apps) == []


def test_the_key_is_one_plain_column(apps: Apps) -> None:
    model(apps, "House")
    key = models.OneToOneField("shop.House", models.CASCADE, primary_key=True)
    model(apps, base=PGCraftEAV, house=key)
    expect(messages(apps), "E082", "id = models.BigAutoField(primary_key=True)")


@pytest.mark.parametrize("name", ["data", "at", "actor", "log_id"])
def test_names_that_the_tables_need_are_refused_for_a_key(apps: Apps, name: str) -> None:
    model(apps, base=PGCraftEAV, **{name: models.BigAutoField(primary_key=True)})
    expect(messages(apps), "E083", f'person_{name} = …(db_column="person_{name}")')


def test_names_that_the_table_needs_are_refused_for_a_foreign_key(apps: Apps) -> None:
    model(apps, "House")
    model(apps, base=PGCraftEAV, house=models.ForeignKey("shop.House", models.CASCADE, db_column="data"))
    assert "E083" in str(messages(apps))


def test_many_to_many_is_refused(apps: Apps) -> None:
    model(apps, "House")
    model(apps, base=PGCraftEAV, houses=models.ManyToManyField("shop.House"))
    found = [item for item in messages(apps) if item.id == "pgcraft_django.E084"]
    expect(found, "E084", "PGCraftForeignKey(Person, on_delete=models.CASCADE)")


def test_a_generated_field_is_refused(apps: Apps) -> None:
    size = models.GeneratedField(expression=models.F("name"), output_field=models.TextField(), db_persist=True)
    model(apps, base=PGCraftEAV, size=size)
    expect(messages(apps), "E085", "annotation")


@pytest.mark.parametrize(
    "meta",
    [
        {"constraints": [models.CheckConstraint(condition=models.Q(house__name="x"), name="wrong")]},
        {"constraints": [models.CheckConstraint(condition=models.Q(name=RawSQL("lower(name)", [])), name="wrong")]},
        {"constraints": [ExclusionConstraint(expressions=[("name", "=")], name="wrong")]},
        {"constraints": [models.UniqueConstraint(fields=["name"], include=["house"], name="wrong")]},
        {
            "constraints": [
                models.UniqueConstraint(fields=["name"], deferrable=models.Deferrable.DEFERRED, name="wrong")
            ]
        },
        {"indexes": [models.Index(fields=["name"], include=["house"], name="wrong")]},
    ],
)
def test_constraints_that_attributes_cannot_have_are_refused(apps: Apps, meta: Any) -> None:
    model(apps, "House")
    model(apps, base=PGCraftEAV, meta=meta, house=models.ForeignKey("shop.House", models.CASCADE, null=True))
    expect(messages(apps), "E086", 'name="wrong"')


def test_attributes_do_not_share_an_index(apps: Apps) -> None:
    """One of them was not made, and what was to be unique was not."""
    for name, table, attribute in (("Product", "product", "type_code"), ("Type", "product_type", "code")):
        fields = {attribute: models.TextField(unique=True)}
        model(apps, name, base=PGCraftEAV, meta={"db_table": table}, **fields)
    expect(messages(apps), "E090", "UniqueConstraint(fields=")


@pytest.mark.parametrize("wrong", ["select", ["select"], {"webuser": "all"}])
@pytest.mark.parametrize("option", ["attribute_api", "extra_api"])
def test_the_apis_of_what_is_beside_are_apis(apps: Apps, option: str, wrong: Any) -> None:
    model(apps, base=PGCraftEAV, pgcraft={option: wrong})
    expect(messages(apps), "E087", f"{option} = API(")


def test_extra_is_true_or_false(apps: Apps) -> None:
    model(apps, base=PGCraftEAV, pgcraft={"extra": "yes"})
    expect(messages(apps), "E088", "extra = True")
