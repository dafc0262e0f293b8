"""What every factory builds on: hooks for its objects, companion models, tables that nobody changes."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.postgres.fields import ArrayField
from django.core import mail
from django.core.checks import CheckMessage
from django.db import IntegrityError, connections, models
from django.db.migrations.state import AppConfigStub

from pgcraft_django.api import API
from pgcraft_django.bodies import read_body
from pgcraft_django.checks.models import check_models
from pgcraft_django.columns import column_type
from pgcraft_django.declared import declared
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.factories.base import Factory, PGCraftModel, _ByKey
from pgcraft_django.factories.companion import make_companion, plain_copy
from pgcraft_django.factories.guard import guard, let_tests_truncate
from pgcraft_django.messages import error
from pgcraft_django.naming import dollar_quote
from pgcraft_django.objects import DatabaseObject
from pgcraft_django.plugins.base import Plugin
from tests.support.world import World, new_site


class Dated(Plugin):
    """Adds a column, and refuses models of a certain name."""

    def prepare(self, model: type[models.Model]) -> None:
        model.add_to_class("day", models.DateField(null=True))

    def check(self, model: type[models.Model]) -> Iterator[CheckMessage]:
        if model.__name__ == "Wrong":
            yield error("E022", "Wrong is wrong.", hint="Write Right", obj=model)


class Diarist(Factory):
    """A factory with a log, an option, and a column and a privilege that nobody is granted."""

    options = Factory.options | {"diary_api"}
    privileges = frozenset({"select", "insert"})
    stamped = frozenset({"number"})

    def prepare(self, model: type[models.Model]) -> None:
        fields = {field.name: plain_copy(field) for field in model._meta.local_concrete_fields}
        fields["entry"] = models.BigAutoField(primary_key=True)
        declared = getattr(model, "PGCraft", None)
        make_companion(model, "Diary", fields, api=getattr(declared, "diary_api", None))

    def objects(self, model: type[models.Model], schema: str) -> Iterator[DatabaseObject]:
        yield from guard(schema, f"{model._meta.db_table}_diary")


class Kept(PGCraftModel):
    number = models.IntegerField(default=1)
    pgcraft_factory = Diarist()

    class Meta:
        abstract = True


def declare(apps: Apps, *, name: str = "Person", table: str = "people", **options: Any) -> type[models.Model]:
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": table})
    fields = {
        "name": models.CharField(max_length=20, unique=True, default="?"),
        "friend": models.ForeignKey("self", models.CASCADE, null=True),
        "tags": ArrayField(models.IntegerField(), default=list),
        "size": models.GeneratedField(
            expression=models.functions.Length("name"), output_field=models.IntegerField(), db_persist=True
        ),
    }
    return type(
        name,
        (Kept,),
        {"__module__": __name__, "Meta": meta, "PGCraft": type("PGCraft", (), options), **fields},
    )


@pytest.fixture
def apps() -> Apps:
    return Apps([AppConfigStub("shop"), AppConfigStub("library")])


def test_a_companion_holds_what_the_model_held_and_has_none_of_its_rules(apps: Apps) -> None:
    person = declare(apps)
    companion = apps.get_model("shop", "PersonDiary")
    assert companion._meta.db_table == "people_diary"
    assert companion.pgcraft_owner is person
    assert globals()["PersonDiary"] is companion
    fields = {field.name: field for field in companion._meta.local_concrete_fields}
    assert set(fields) == {"entry", "id", "name", "friend", "tags", "size", "number"}
    assert all(field.null for name, field in fields.items() if name != "entry")
    assert not any(field.unique or field.has_default() for name, field in fields.items() if name != "entry")
    assert type(fields["id"]) is models.BigIntegerField
    assert type(fields["size"]) is models.IntegerField
    assert fields["friend"].related_model is person
    assert (fields["name"].max_length, fields["friend"].column) == (20, "friend_id")


@pytest.mark.parametrize("order", [1, -1])
def test_no_companion_takes_the_place_of_a_model_that_is_called_as_it_is(apps: Apps, order: int) -> None:
    """Nor the other way round: of what was first, the table would have been changed into that of the other."""

    def declare_own() -> None:
        meta = type("Meta", (), {"apps": apps, "app_label": "shop"})
        type("PersonDiary", (models.Model,), {"__module__": __name__, "Meta": meta})

    first, second = [declare_own, lambda: declare(apps)][::order]
    first()
    with pytest.raises(ConfigurationError, match=r"shop\.PersonDiary: one goes with shop\.Person, .* is yours"):
        second()


@pytest.mark.usefixtures("unblocked")
def test_a_companion_follows_the_model_and_its_rows_stay_as_they_are() -> None:
    world = World()
    world.evolve(lambda apps: declare(apps))
    with new_site() as site:
        site.migrate(world.order)
        site.query("INSERT INTO people_diary (name) VALUES ('Alice')")
        for statement in (
            "UPDATE people_diary SET name = name",
            "DELETE FROM people_diary",
            "TRUNCATE people_diary",
        ):
            with pytest.raises(IntegrityError, match="never changed or removed"):
                site.query(statement)
        site.query("UPDATE people_diary SET name = '' WHERE false")
        site.query("DELETE FROM people_diary WHERE false")
        site.migrate(world.evolve(lambda apps: declare(apps, table="Renamed people", schema="other")))
        assert site.query('SELECT name FROM other."Renamed people_diary"') == [("Alice",)]
        with pytest.raises(IntegrityError, match="never changed or removed"):
            site.query('TRUNCATE "Renamed people_diary"')
        for _ in world.order:
            site.unmigrate()
        with new_site() as empty:
            assert site.catalog() == empty.catalog()


@pytest.mark.usefixtures("unblocked")
def test_only_a_test_run_may_truncate_and_only_its_own_database(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.evolve(lambda apps: declare(apps))
    with new_site() as site:
        site.migrate(world.order)
        site.query("INSERT INTO people_diary (name) VALUES ('Alice')")
        connection = connections[site.alias]

        def is_refused() -> bool:
            let_tests_truncate(site.alias)
            try:
                site.query("TRUNCATE people_diary")
            except IntegrityError:
                return True
            return False

        assert is_refused()
        monkeypatch.setitem(connection.settings_dict, "TEST", {"NAME": connection.settings_dict["NAME"]})
        with monkeypatch.context() as production:
            production.delattr(mail, "outbox")
            assert is_refused()
        assert not is_refused()
        site.query("INSERT INTO people_diary (name) VALUES ('Alice')")
        with pytest.raises(IntegrityError, match="never changed or removed"):
            site.query("DELETE FROM people_diary")


def test_only_what_a_factory_allows_is_granted(apps: Apps) -> None:
    declare(apps, api=API(grants={"anon": "all"}), diary_api=API(grants={"anon": ["select"]}))
    objects = {item.describe(): item for item in declared(apps)["shop"].values()}
    privileges: Any = objects["grant on private.people to anon"]
    assert set(privileges.privileges) == {"select", "insert"}
    assert "number" in privileges.privileges["select"]
    assert privileges.privileges["insert"] == ["friend_id", "id", "name", "tags"]
    assert "view api.people_diary" in objects


def test_a_companion_is_closed_unless_asked_for(apps: Apps) -> None:
    declare(apps)
    assert "people_diary" not in {key.name for key in declared(apps)["shop"] if key.schema == "api"}


def test_options_and_plugins_are_checked(apps: Apps, settings: Any) -> None:
    settings.MIGRATION_MODULES = {"shop": "tests.school.migrations"}
    declare(apps, plugins=[Dated()], diary_api=None)
    assert check_models(apps=apps) == []
    assert apps.get_model("shop", "Person")._meta.get_field("day").column == "day"
    declare(apps, name="Wrong", table="wrong", plugins=[Dated(), Dated, 3], diary_apis=None)
    found = [(item.id, item.hint) for item in check_models(apps=apps)]
    assert ("pgcraft_django.E021", "Write diary_api = …") in found
    assert ("pgcraft_django.E022", "Write plugins = [Dated(…)] in class PGCraft") in found
    assert ("pgcraft_django.E022", "Write Right") in found


def test_a_collation_is_a_name_like_others() -> None:
    assert column_type(models.TextField(db_collation='de "x"')) == 'text COLLATE "de ""x"""'


def test_a_text_is_quoted_with_dollars_whatever_is_in_it() -> None:
    assert dollar_quote("BEGIN\nEND\n") == "$body$\nBEGIN\nEND\n$body$"
    assert dollar_quote("$body$ $body1$").startswith("$body2$\n")


def test_parts_of_a_body_keep_its_indentation(tmp_path: Any) -> None:
    (tmp_path / "it.sql").write_text("SELECT\n    {columns}\nFROM {table} -- '{}'::jsonb\n")
    body = read_body(str(tmp_path / "it.py"), "it", columns='"a",\n"b"', table='"t"')
    assert body == 'AS $body$\nSELECT\n    "a",\n    "b"\nFROM "t" -- \'{}\'::jsonb\n$body$'
    with pytest.raises(KeyError, match="table"):
        read_body(str(tmp_path / "it.py"), "it", columns="")


# -- Saving ------------------------------------------------------------------------------------------------------------


def test_save_finds_the_row_of_a_key_as_filter_does() -> None:
    """Whatever the key is, and whatever the base manager leaves out."""
    apps = World().apps

    class Present(models.Manager[Any]):
        def get_queryset(self) -> Any:
            return super().get_queryset().filter(is_gone=False)

    def define(name: str, /, **fields: Any) -> Any:
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "base_manager_name": fields.pop("manager", None)})
        return type(name, (PGCraftModel,), {"__module__": __name__, "Meta": meta, **fields})

    one = define("One")
    two = define("Two", one=models.OneToOneField(one, models.CASCADE, primary_key=True))
    three = define("Three", two=models.OneToOneField(two, models.CASCADE, primary_key=True))
    pair = {"one": models.ForeignKey(one, models.CASCADE), "number": models.IntegerField()}
    rows = [
        (one, 7),
        (two, 7),
        (three, 7),
        (define("Named", name=models.CharField(max_length=9, primary_key=True, db_column="called")), "é'"),
        (define("Keyed", id=models.UUIDField(primary_key=True)), uuid.UUID(int=7)),
        (define("Keyed2", id=models.UUIDField(primary_key=True)), str(uuid.UUID(int=7))),
        (define("Pair", pk=models.CompositePrimaryKey("one", "number"), **pair), (7, 8)),
        (define("Row", is_gone=models.BooleanField(), present=Present(), manager="present"), 7),
    ]
    for model, key in rows:
        found, asked = _ByKey(model._base_manager.all()).filter(pk=key), model._base_manager.filter(pk=key)
        assert found.query.sql_with_params() == asked.query.sql_with_params()
