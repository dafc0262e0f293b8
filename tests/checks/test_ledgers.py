"""Declarations of ledgers and their plugins."""

from decimal import Decimal
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models

from pgcraft_django.api import API
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.models import PGCraftLedger
from pgcraft_django.plugins import Balance, DoubleEntry
from tests.checks.declare import expect, messages, model


def ledger(apps: Apps, *plugins: Any, value: models.Field | None = None, **options: Any) -> None:
    fields = {"value": value} if value else {}
    model(apps, base=PGCraftLedger, pgcraft={"plugins": list(plugins), **options}, **fields)


def test_a_right_one_has_nothing_wrong(apps: Apps) -> None:
    ledger(
        apps,
        Balance(["name"], Decimal("-0.5"), api=API(grants={"webuser": ["select"]})),
        value=models.DecimalField(max_digits=9, decimal_places=2),
        api=API(grants={"webuser": ["select", "insert"]}),
        idempotency=True,
        record_grants=["webuser"],
    )
    assert messages(apps) == []


@pytest.mark.parametrize(
    "value", [models.FloatField(), models.TextField(), models.BigIntegerField(null=True), models.DecimalField()]
)
def test_a_value_is_exact(apps: Apps, value: models.Field) -> None:
    ledger(apps, value=value)
    expect([item for item in messages(apps) if item.id.startswith("pgcraft")], "E091", "value = models.BigIntegerField")


@pytest.mark.parametrize("names", [[], "name", None, ["nam"], ["name", "name"], ["value"], ["id"], [3]])
def test_dimensions_are_fields(apps: Apps, names: Any) -> None:
    ledger(apps, Balance(names))
    expect(messages(apps), "E092", '"name"')


def test_a_dimension_is_known_while_it_is_booked(apps: Apps) -> None:
    """PostgreSQL has what it computes later as NULL in triggers, and all entries would be one group."""
    field = models.GeneratedField(expression=models.F("name"), output_field=models.TextField(), db_persist=False)
    model(apps, base=PGCraftLedger, pgcraft={"plugins": [Balance(["same"])]}, same=field)
    expect(messages(apps), "E092", "same = …(db_persist=True)")


def test_balances_have_names_of_their_own(apps: Apps) -> None:
    ledger(apps, Balance(["name"]), Balance(["name"]))
    expect(messages(apps), "E093", 'Balance(…, name="by_name")')


@pytest.mark.parametrize("name", ["guard", "created_at", "balance_update"])
def test_no_balance_takes_the_trigger_of_the_ledger_or_of_another_one(apps: Apps, name: str) -> None:
    """There was one trigger in the place of the two: without a guard, entries could be changed."""
    ledger(apps, Balance(["name"]), Balance(["name"], name=name))
    expect(messages(apps), "E093", 'Balance(…, name="by_name")')


@pytest.mark.parametrize(("name", "options"), [("key", {"idempotency": True}), ("Balance", {})])
def test_no_balance_is_called_as_what_else_goes_with_the_ledger(apps: Apps, name: str, options: Any) -> None:
    """The table of the keys would have become that of the balances."""
    with pytest.raises(ConfigurationError, match=r"both go with shop\.Person\. Give a Balance"):
        ledger(apps, Balance(["name"]), Balance(["name"], name=name), **options)


@pytest.mark.filterwarnings("ignore:Model .* was already registered")
def test_a_module_may_be_read_again(apps: Apps) -> None:
    for _ in range(2):
        ledger(apps, Balance(["name"]), DoubleEntry(), idempotency=True)
    assert messages(apps) == []


def test_balances_are_told_apart_by_people(apps: Apps) -> None:
    ledger(apps, Balance(["name"]), Balance(["name"], name="by_name"))
    names = {str(item._meta.verbose_name_plural) for item in apps.get_models() if hasattr(item, "pgcraft_dimensions")}
    assert names == {"balances of persons", "balances of persons: by name"}


@pytest.mark.parametrize("name", ["", "my balance", 3])
def test_a_name_is_a_name(apps: Apps, name: Any) -> None:
    ledger(apps, Balance(["name"], name=name))
    expect(messages(apps), "E093", 'name="stock"')


@pytest.mark.parametrize("minimum", ["0", True, Decimal("NaN"), Decimal("Infinity"), 0.5])
def test_a_minimum_is_a_number(apps: Apps, minimum: Any) -> None:
    ledger(apps, Balance(["name"], minimum))
    expect(messages(apps), "E094", "minimum=0")


def test_a_balance_is_of_a_ledger(apps: Apps) -> None:
    model(apps, pgcraft={"plugins": [Balance(["name"])]})
    expect(messages(apps), "E095", "class Person(PGCraftLedger)")


def test_idempotency_is_on_or_off(apps: Apps) -> None:
    ledger(apps, idempotency="yes")
    expect(messages(apps), "E096", "idempotency = True")


@pytest.mark.parametrize("roles", ["webuser", {"webuser": "all"}, ["webusr"]])
def test_roles_that_record_are_known(apps: Apps, roles: Any) -> None:
    ledger(apps, record_grants=roles)
    expect(messages(apps), "E097", 'record_grants = ["')


def test_a_balance_is_exposed_by_an_api(apps: Apps) -> None:
    ledger(apps, Balance(["name"], api=3))
    expect(messages(apps), "E022", "api=API(")


def test_double_entry_is_of_a_ledger(apps: Apps) -> None:
    model(apps, pgcraft={"plugins": [DoubleEntry()]})
    expect(messages(apps), "E095", "class Person(PGCraftLedger)")


def test_fields_that_are_added_are_not_declared(apps: Apps) -> None:
    model(apps, base=PGCraftLedger, pgcraft={"plugins": [DoubleEntry()]}, direction=models.TextField())
    expect(messages(apps), "E098", "_direction = …")


@pytest.mark.parametrize(
    "own",
    [
        {"created_at": models.DateTimeField(auto_now_add=True)},
        {"entry_id": models.IntegerField()},
        {"id": models.UUIDField(primary_key=True)},
        {"id": models.BigAutoField(primary_key=True, db_column="number")},
    ],
)
def test_what_the_database_stamps_is_not_declared(apps: Apps, own: Any) -> None:
    model(apps, base=PGCraftLedger, **own)
    expect(messages(apps), "E098", f"Remove {next(iter(own))} = …")


@pytest.mark.parametrize("name", ["running_balance", "rolling_change"])
def test_what_queries_give_entries_is_not_declared(apps: Apps, name: str) -> None:
    model(apps, base=PGCraftLedger, **{name: models.IntegerField()})
    expect(messages(apps), "E098", f"Remove {name} = …, or write person_{name} = … instead")


@pytest.mark.parametrize("name", ["balance", "through"])
def test_a_dimension_is_not_called_as_a_column_beside_it(apps: Apps, name: str) -> None:
    model(apps, base=PGCraftLedger, pgcraft={"plugins": [Balance(["name"])]}, **{name: models.TextField()})
    assert messages(apps) == []
    other = {"plugins": [Balance(["name", name])]}
    model(apps, "Other", base=PGCraftLedger, pgcraft=other, **{name: models.TextField()})
    expect(messages(apps), "E098", f"Remove {name} = …, or write other_{name} = … instead")


def test_the_key_is_not_declared(apps: Apps) -> None:
    model(apps, base=PGCraftLedger, pgcraft={"idempotency": True}, idempotency_key=models.TextField())
    expect(messages(apps), "E098", "_idempotency_key = …")


def test_tables_beside_the_ledger_need_room_in_their_names(apps: Apps) -> None:
    plugins = [Balance(["name"]), DoubleEntry()]
    model(apps, base=PGCraftLedger, meta={"db_table": "x" * 55}, pgcraft={"plugins": plugins, "idempotency": True})
    assert "pgcraft_django.E011" in {item.id for item in messages(apps)}


def test_partitions_are_for_a_time(apps: Apps) -> None:
    model(apps, base=PGCraftLedger, pgcraft={"partition_by": "fortnight"})
    expect(messages(apps), "E099", 'partition_by = "month"')


def test_nothing_is_unique_across_partitions(apps: Apps) -> None:
    model(apps, base=PGCraftLedger, pgcraft={"partition_by": "day"}, code=models.TextField(unique=True))
    expect(messages(apps), "E099", "idempotency = True")


@pytest.mark.parametrize(
    ("on_delete", "number", "said"),
    [
        (models.SET_NULL, "E100", "SET_NULL of the field 'shelf' would change entries"),
        (models.SET_DEFAULT, "E100", "SET_DEFAULT of"),
        (models.SET(3), "E100", "SET(…) of"),
        *((getattr(models, name), "E100", f"{name} of") for name in ("DB_SET_NULL",) if hasattr(models, name)),
        (models.CASCADE, "W091", "CASCADE of the field 'shelf' would delete entries"),
    ],
)
def test_what_an_entry_refers_to_is_not_deleted(apps: Apps, on_delete: Any, number: str, said: str) -> None:
    model(apps, "Shelf")
    shelf = models.ForeignKey("shop.Shelf", null=True, default=None, on_delete=on_delete)
    model(apps, base=PGCraftLedger, shelf=shelf)
    found = messages(apps)
    expect(found, number, "on_delete=models.PROTECT in shelf = …")
    assert said in found[0].msg


@pytest.mark.parametrize("on_delete", [models.PROTECT, models.RESTRICT, models.DO_NOTHING])
def test_what_keeps_an_entry_as_it_is_may_be_said(apps: Apps, on_delete: Any) -> None:
    model(apps, "Shelf")
    model(apps, base=PGCraftLedger, shelf=models.OneToOneField("shop.Shelf", on_delete=on_delete))
    assert messages(apps) == []
