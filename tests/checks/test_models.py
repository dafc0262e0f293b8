"""`class PGCraft`, and the tables behind models."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.contrib.auth.models import AbstractBaseUser
from django.core.checks import ERROR
from django.db import models
from pytest_django import Settings

from pgcraft_django.api import API
from pgcraft_django.checks.models import check_models
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftSimple
from pgcraft_django.plugins import DoubleEntry
from pgcraft_django.policies import OwnerPolicy
from pgcraft_django.registry import register
from tests.checks.declare import expect, messages, model

LONG = "x" * 64


class Mixin(models.Model):
    """A base that could be anybody's."""

    class Meta:
        abstract = True

    class PGCraft:
        schema = "private"


def abstract(apps: Apps, pgcraft: Any) -> type[models.Model]:
    return model(apps, "Base", meta={"abstract": True}, pgcraft=pgcraft)


def proxy(apps: Apps, **attributes: Any) -> None:
    model(apps, "Graduate", base=model(apps), meta={"proxy": True}, **attributes)


def place(apps: Apps) -> None:
    """A plain model with a table, and a factory model that inherits from it."""
    parent = model(apps, "Place", base=models.Model)
    model(apps, "Restaurant", base=(PGCraftSimple, parent), name=None, street=models.TextField(null=True))


def linked(apps: Apps, **options: Any) -> None:
    model(apps, tags=models.ManyToManyField(model(apps, "Tag"), **options))


BAD: list[tuple[str, Callable[[Apps], object], str]] = [
    ("E021", lambda apps: model(apps, pgcraft={"shema": "private"}), "Write schema = "),
    ("E021", lambda apps: model(apps, pgcraft={"zzzzzz": 1}), '"api", "plugins", "policies", "schema"'),
    ("E021", lambda apps: model(apps, base=abstract(apps, {"apis": API()})), "Write api = "),
    ("E022", lambda apps: model(apps, pgcraft={"schema": 5}), 'schema = "private"'),
    ("E022", lambda apps: model(apps, pgcraft={"api": {"name": "people"}}), "api = API()"),
    ("E022", lambda apps: model(apps, pgcraft={"api": API}), "api = API()"),
    ("E022", lambda apps: model(apps, pgcraft={"api": [API(), "people"]}), "api = API()"),
    ("E022", lambda apps: model(apps, pgcraft={"plugins": object()}), "plugins = []"),
    ("E022", lambda apps: model(apps, pgcraft={"plugins": [DoubleEntry]}), "plugins = [DoubleEntry(…)]"),
    ("E022", lambda apps: model(apps, pgcraft="private"), "class PGCraft: api = API()"),
    ("E023", lambda apps: model(apps, base=models.Model, pgcraft={}), "class Person(PGCraftSimple):"),
    ("E023", lambda apps: model(apps, base=Mixin), "class Person(PGCraftSimple):"),
    (
        "E023",
        lambda apps: proxy(apps, pgcraft={"api": API(name="graduates")}),
        'pgcraft_django.register(Graduate, api=API(name="graduate"))',
    ),
    (
        "E024",
        lambda apps: model(apps, meta={"db_table": "private.people"}),
        'db_table = "people" in class Meta and schema = "private" in class PGCraft',
    ),
    (
        "E024",
        lambda apps: model(apps, meta={"db_table": '"private"."people"'}),
        'db_table = "people" in class Meta and schema = "private" in class PGCraft',
    ),
    ("E024", lambda apps: model(apps, meta={"db_table": 'private"."people'}), 'db_table = "people" in class Meta'),
    ("E024", lambda apps: model(apps, meta={"db_table": 'we"ird'}), 'db_table = "weird"'),
    ("E024", lambda apps: model(apps, meta={"db_table": "a.b.c"}), 'db_table = "a_b_c"'),
    ("E024", lambda apps: linked(apps, db_table="private.links"), 'db_table = "links" in the ManyToManyField'),
    (
        "E024",
        lambda apps: register(
            model(apps, base=models.Model, meta={"db_table": '"other"."people"'}), api=API(name="x"), app_label="shop"
        ),
        'schema = "other" in class PGCraft of class Person(PGCraftSimple)',
    ),
    ("E024", lambda apps: model(apps, age=models.IntegerField(db_column='a"ge')), 'age = …(db_column="age")'),
    *(
        (
            number,
            lambda apps, base=base, column=column: model(apps, base=base, age=models.IntegerField(db_column=column)),
            line,
        )
        for base in (PGCraftSimple, PGCraftAppendOnly, PGCraftEAV)
        for number, column, line in (
            ("E024", "part in %", 'age = …(db_column="part in percent")'),
            ("E024", "us$", 'age = …(db_column="usdollar")'),
            ("E012", "ctid", 'age = …(db_column="ctid_")'),
        )
    ),
    *(
        (
            "E024",
            lambda apps, base=base: model(
                apps, base=base, meta={"db_table": "%(x)s 100%"}, pgcraft={"api": API(name="x")}
            ),
            'db_table = "percent(x)s 100percent" in class Meta',
        )
        for base in (PGCraftSimple, PGCraftAppendOnly, PGCraftEAV)
    ),
    ("E011", lambda apps: model(apps, meta={"db_table": LONG}), 'db_table = "xxxx'),
    ("E011", lambda apps: linked(apps, db_table="é" * 40), "in the ManyToManyField"),
    ("E011", lambda apps: model(apps, age=models.IntegerField(db_column="é" * 32)), 'age = …(db_column="é'),
    ("E011", lambda apps: model(apps, age=models.IntegerField(db_column="a\0b")), 'age = …(db_column="name")'),
    (
        "E011",
        lambda apps: model(
            apps, meta={"constraints": [models.CheckConstraint(condition=models.Q(name="a"), name=LONG)]}
        ),
        'CheckConstraint(…, name="xxxx',
    ),
    ("E011", lambda apps: model(apps, pgcraft={"schema": LONG}), 'schema = "xxxx'),
    ("E012", lambda apps: model(apps, pgcraft={"schema": "pg_private"}), 'schema = "private" in class PGCraft'),
    (
        "E025",
        lambda apps: (
            model(apps, meta={"db_table": "x" * 63}),
            model(apps, "Old", label="library", base=models.Model, meta={"db_table": LONG}),
        ),
        'db_table = "library_old" in class Meta of library.Old',
    ),
    ("E026", place, "place = models.OneToOneField(Place, on_delete=models.CASCADE, primary_key=True)"),
    (
        "E026",
        lambda apps: model(apps, "Pupil", base=model(apps), meta={"db_table": "pupils"}, name=None),
        "abstract = True in class Meta of Person",
    ),
    (
        "E030",
        lambda apps: model(apps, base=(PGCraftEAV, PGCraftAppendOnly)),
        "class Person(PGCraftEAV):",
    ),
    ("E027", lambda apps: model(apps, meta={"managed": False}), "pgcraft_django.register(Person, api=API())"),
    ("E029", lambda apps: model(apps, policies=[OwnerPolicy("name")]), "Write policies = … in class PGCraft"),
    ("E029", lambda apps: model(apps, api=None), "Write api = … in class PGCraft"),
    ("E029", lambda apps: model(apps, base=PGCraftEAV, extra=True), "Write extra = … in class PGCraft"),
    ("E029", lambda apps: model(apps, base=(type("Mixin", (), {"api": API()}), PGCraftSimple)), "Write api = …"),
    ("E029", lambda apps: model(apps, PGcraft=type("PGcraft", (), {"schema": "a"})), "Write class PGCraft:"),
]


@pytest.mark.parametrize(("number", "declare", "line"), BAD)
def test_a_wrong_model_is_one_error_that_says_what_to_write(
    apps: Apps, number: str, declare: Callable[[Apps], object], line: str
) -> None:
    declare(apps)
    expect(messages(apps), number, line)


@pytest.mark.parametrize("base", [PGCraftAppendOnly, PGCraftEAV])
def test_the_tables_beside_a_model_need_room_for_their_names_too(apps: Apps, base: type[models.Model]) -> None:
    made = model(apps, base=base, meta={"db_table": "x" * 60})
    (found,) = (item for item in check_models(apps=apps) if item.level >= ERROR)
    assert (found.id, found.obj) == ("pgcraft_django.E011", made)
    name = re.search('db_table = "(x+_[0-9a-f]{8})" in class Meta of Person', found.hint or "")
    assert name
    longest = max(len(other._meta.db_table) for other in apps.get_models())
    assert longest - 60 + len(name[1]) == 63


GOOD: list[Callable[[Apps], object]] = [
    model,
    lambda apps: model(apps, pgcraft={"schema": "other", "api": [API(), API(name="more")], "plugins": []}),
    lambda apps: model(apps, pgcraft={"schema": None, "api": None, "plugins": (), "_private": 1}),
    lambda apps: model(apps, pgcraft={"schema": "public"}),
    lambda apps: model(apps, base=abstract(apps, {"schema": "other"})),
    lambda apps: model(apps, base=(Mixin, PGCraftSimple)),
    lambda apps: model(apps, "Plain", base=models.Model, meta={"db_table": "with.dot"}),
    lambda apps: model(apps, meta={"db_table": "Größe & Maß, order"}, age=models.IntegerField(db_column="or.der")),
    lambda apps: model(apps, meta={"db_table": "x" * 63}),
    lambda apps: model(apps, schema=models.TextField(null=True), api=property(str), Draft=type("Draft", (), {})),
    proxy,
    linked,
]


@pytest.mark.parametrize("declare", GOOD)
def test_a_right_model_is_no_message(apps: Apps, declare: Callable[[Apps], object]) -> None:
    declare(apps)
    assert messages(apps) == []


def test_a_table_with_a_cut_name_is_only_our_business_beside_one_of_ours(apps: Apps) -> None:
    model(apps, base=models.Model, meta={"db_table": "x" * 63})
    model(apps, "Old", base=models.Model, meta={"db_table": LONG})
    assert messages(apps) == []


def test_an_app_without_migrations_is_a_warning_with_the_command(apps: Apps, settings: Settings) -> None:
    settings.MIGRATION_MODULES = {"library": "tests.checks.nowhere", "shop": "tests.school.migrations"}
    model(apps)
    model(apps, "Plain", label="library", base=models.Model)
    assert messages(apps) == []
    model(apps, "Book", label="library")
    expect(messages(apps), "W001", "manage.py makemigrations library")


def test_an_app_whose_migrations_are_a_folder_without_init_has_none(apps: Apps, settings: Settings) -> None:
    settings.MIGRATION_MODULES = {}
    model(apps)
    expect(messages(apps), "W001", "manage.py makemigrations shop")


def test_migrations_that_are_switched_off_are_no_warning(apps: Apps, settings: Settings) -> None:
    settings.MIGRATION_MODULES = {"shop": None}
    model(apps)
    assert messages(apps) == []


def test_a_project_without_the_app_is_told_to_install_it(apps: Apps, monkeypatch: pytest.MonkeyPatch) -> None:
    person = model(apps)
    assert person.check() == []
    # Not by the setting: all apps would start anew, and django.contrib.postgres ask each database that is connected.
    monkeypatch.delitem(global_apps.app_configs, "pgcraft_django")
    expect(person.check(), "E028", '"pgcraft_django" in INSTALLED_APPS')


def test_only_the_models_of_the_apps_asked_for_are_reported(apps: Apps) -> None:
    from pgcraft_django.checks.models import check_models

    model(apps, pgcraft={"shema": "a"})
    model(apps, "Book", label="library", pgcraft={"scheme": "b"})
    found = check_models(app_configs=[apps.get_app_config("library")], apps=apps)
    assert [item.obj._meta.label for item in found] == ["library.Book"]


def test_a_swappable_user_model_is_no_message(apps: Apps) -> None:
    model(
        apps, "User", base=(PGCraftSimple, AbstractBaseUser), USERNAME_FIELD="name", name=models.TextField(unique=True)
    )
    assert messages(apps) == []
