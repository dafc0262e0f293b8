"""Every type of field goes from the ORM through the API and back without losing anything."""

import datetime
import inspect
import uuid
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps
from django.contrib.postgres import fields as postgres
from django.contrib.postgres import search
from django.db import models
from django.db.backends.postgresql.psycopg_any import DateRange, DateTimeTZRange, NumericRange

from tests.school.models import Preset, Sample
from tests.support.served import Served

TEXT = "größe 🙂 \"quoted\" 'single' \\ back\nline\ttab %s {x} null"
UTC = datetime.UTC
INDIA = datetime.timezone(datetime.timedelta(hours=5, minutes=30))

VALUES: dict[str, list[Any]] = {
    "big": [2**63 - 1, -(2**63)],
    "binary": [b"", bytes(range(256))],
    "boolean": [True, False],
    "char": ["", TEXT[:50]],
    "date": [datetime.date.min, datetime.date.max, datetime.date(2024, 2, 29)],
    "date_time": [
        datetime.datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC),
        datetime.datetime(1900, 1, 1, tzinfo=INDIA),
    ],
    "decimal": [Decimal("12345678901234567890.0123456789"), Decimal("-1E-10"), Decimal(0)],
    "duration": [datetime.timedelta(0), datetime.timedelta(days=-1, microseconds=1), datetime.timedelta(days=999999)],
    "email": ["someone@school.example"],
    "file": ["", "uploads/größe 1.txt"],
    "path": ["/srv/files/1"],
    "real": [0.1, -1.7976931348623157e308, 5e-324, float("inf")],
    "address": ["192.0.2.1", "2001:db8::1"],
    "integer": [2**31 - 1, -(2**31)],
    "document": [{"a": [None, True, 1.5, {"ü": TEXT}]}, [], {}, "text", 5, False],
    "positive_big": [2**63 - 1],
    "positive": [0, 2**31 - 1],
    "positive_small": [2**15 - 1],
    "slug": ["a-slug"],
    "small": [-(2**15)],
    "text": ["", TEXT, "null", "x" * 100_000],
    "time": [datetime.time.min, datetime.time.max],
    "url": ["https://school.example/?a=b&c=%20"],
    "uuid": [uuid.UUID(int=0), uuid.UUID("12345678-9abc-def0-1234-56789abcdef0")],
    "words": [[], ["a,b", 'q"', "{}", None, "NULL", "\\", "", TEXT]],
    "matrix": [[], [[1, 2], [3, 4]]],
    "days": [[datetime.date(2024, 2, 29)]],
    "integers": [NumericRange(1, 5), NumericRange(None, 5), NumericRange(empty=True), NumericRange(None, None)],
    "bigs": [NumericRange(-(2**63), 2**63 - 1)],
    "decimals": [NumericRange(Decimal("1.50"), Decimal("2.5"), "(]"), NumericRange(Decimal(1), None)],
    "dates": [DateRange(datetime.date(2024, 2, 29), datetime.date(2024, 3, 1)), DateRange(None, datetime.date.max)],
    "moments": [DateTimeTZRange(datetime.datetime(2024, 1, 1, tzinfo=UTC), None, "[)")],
    "search": ["'fat':2 'it''s':1A"],
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_survives_the_way_through_the_api(school: Served, name: str) -> None:
    samples = Sample.objects.using(school.alias)
    for value in (*VALUES[name], *([None] if Sample._meta.get_field(name).null else [])):
        made = samples.create(**{name: value})
        read = school.anon.get(f"/samples?select={name}&id=eq.{made.pk}")
        written = school.webuser.post(
            f"/samples?select=id,{name}",
            content=read.content,  # as it came, so that no digit is lost on the way
            headers={"Content-Type": "application/json", "Prefer": "return=representation"},
        )
        assert written.status_code == 201, written.text
        (row,) = written.json()
        assert school.anon.get(f"/samples?select={name}&id=eq.{row['id']}").content == read.content
        values = samples.filter(pk__in=[made.pk, row["id"]]).values_list(name, flat=True)
        assert list(values) == [value, value]


@pytest.mark.parametrize(
    ("name", "value", "json"),
    [
        ("big", 2**63 - 1, "9223372036854775807"),
        ("decimal", Decimal("0.1"), "0.1000000000"),
        ("boolean", True, "true"),
        ("binary", b"\x00\xff", r'"\\x00ff"'),
        ("date", datetime.date(2024, 2, 29), '"2024-02-29"'),
        ("document", {"a": [1]}, '{"a": [1]}'),
        ("words", ["a", None], '["a",null]'),
        ("matrix", [[1], [2]], "[[1],[2]]"),
        ("integers", NumericRange(1, 5), '"[1,5)"'),
        ("uuid", uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    ],
)
def test_a_value_is_plain_json(school: Served, name: str, value: Any, json: str) -> None:
    Sample.objects.using(school.alias).create(**{name: value})
    assert school.anon.get(f"/samples?select={name}").text == f'[{{"{name}":{json}}}]'


NOT_COLUMNS = {
    "Field", "ForeignObject", "RangeField",  # bases
    "CICharField", "CIEmailField", "CITextField", "CommaSeparatedIntegerField", "IPAddressField",
    "NullBooleanField", "OrderWrt",  # left in Django for old migrations, or made by Django itself
    "HStoreField",  # needs an extension: see test_extensions
    "ImageField",  # a FileField whose checks want an image library
    "SearchQueryField",  # for queries, not for tables
}  # fmt: skip


def test_the_school_has_every_type_of_field() -> None:
    def kinds(module: ModuleType) -> set[str]:
        return {name for name, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, models.Field)}

    used = {
        type(field).__name__
        for model in apps.get_app_config("school").get_models()
        for field in model._meta.get_fields()
    }
    used |= {type(model._meta.pk).__name__ for model in apps.get_app_config("school").get_models()}
    known = {name for name in kinds(models) | kinds(postgres) | kinds(search) if not name.startswith("_")}
    assert known - NOT_COLUMNS - used == set()


def test_every_constant_default_of_python_is_known_to_the_database(school: Served) -> None:
    presets = Preset.objects.using(school.alias)
    answer = school.webuser.post("/presets", json={}, headers={"Prefer": "return=representation"})
    assert answer.status_code == 201, answer.text
    (row,) = answer.json()
    by_api, by_orm = presets.get(pk=row["id"]), presets.get(pk=presets.create().pk)
    in_python = Preset()
    for field in Preset._meta.concrete_fields:
        if not field.primary_key:
            value = getattr(in_python, field.attname)
            assert getattr(by_api, field.attname) == getattr(by_orm, field.attname) == value, field.name
