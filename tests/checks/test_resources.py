"""All APIs together: names and schemas that clash, and registrations that lead nowhere."""

import json
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models
from pytest_django import Settings

from pgcraft_django.api import API
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftLedger, PGCraftStateMachine
from pgcraft_django.plugins import Balance
from pgcraft_django.registry import register
from tests.checks.declare import expect, messages, model


def test_a_table_in_the_exposed_schema_is_an_error(apps: Apps) -> None:
    model(apps, meta={"db_table": "people"}, pgcraft={"schema": "api", "api": API(name="persons")})
    expect(messages(apps), "E036", 'schema = "private" in class PGCraft')


@pytest.mark.parametrize("schema", ["public", "private"])
def test_an_api_in_a_schema_with_tables_is_an_error(apps: Apps, schema: str) -> None:
    model(apps, pgcraft={"api": API(schema=schema, name="persons")})
    expect(messages(apps), "E036", 'API(schema="api")')


def test_a_resource_in_the_place_of_a_table_is_an_error(apps: Apps) -> None:
    model(apps, meta={"db_table": "people"}, pgcraft={"schema": "other", "api": API(schema="other")})
    expect(messages(apps), "E036", 'API(schema="api")')


def test_tables_in_public_may_stay_there(apps: Apps, settings: Settings) -> None:
    settings.PGCRAFT = {"TABLE_SCHEMA": "public"}
    model(apps)
    assert messages(apps) == []


def test_two_resources_of_one_name_are_an_error_across_apps(apps: Apps) -> None:
    model(apps, meta={"db_table": "people"})
    model(apps, "Book", label="library", pgcraft={"api": API(name="people")})
    found = messages(apps)
    expect(found, "E037", 'API(name="library_people")')
    assert "shop.Person, library.Book" in found[0].msg


def test_two_apis_of_one_model_need_two_names(apps: Apps) -> None:
    model(apps, meta={"db_table": "people"}, pgcraft={"api": [API(), API(columns=["id"])]})
    expect(messages(apps), "E037", 'API(name="shop_people")')


@pytest.mark.parametrize("kind", ["machine", "ledger"])
@pytest.mark.parametrize("label", ["shop", "library"])
def test_no_function_takes_the_place_of_one_of_a_model_without_an_api(apps: Apps, kind: str, label: str) -> None:
    """One function was made, of the model that came last: with the grants of both."""
    base, options = {
        "machine": (PGCraftStateMachine, {"transitions": {"a": ["b"]}, "transition_grants": {"anon": ["b"]}}),
        "ledger": (PGCraftLedger, {"record_grants": ["anon"]}),
    }[kind]
    for name, table, app, api in (("Order", "orders", "shop", None), ("Purchase", "bought", label, API(name="orders"))):
        state = {"state": models.TextField(default="a")} if kind == "machine" else {}
        model(apps, name, base=base, label=app, meta={"db_table": table}, pgcraft={**options, "api": api}, **state)
    found = messages(apps)
    expect(found, "E037", f'API(name="{label}_orders")')
    assert f"{label}.Purchase and shop.Order" in found[0].msg


def test_a_proxy_has_no_functions_beside_those_of_its_model(apps: Apps) -> None:
    entry = model(apps, base=PGCraftLedger, pgcraft={"record_grants": ["anon"]})
    graduate = type("Graduate", (entry,), {"__module__": __name__, "Meta": _proxy(apps)})
    register(graduate, api=API(name="graduates"), app_label="shop")
    assert messages(apps) == []


def test_a_resource_may_have_the_name_of_a_table_whose_model_has_functions_alone(apps: Apps) -> None:
    model(apps, base=PGCraftLedger, meta={"db_table": "people"}, pgcraft={"record_grants": ["anon"], "api": None})
    model(apps, "Book", pgcraft={"api": API(name="people")})
    assert messages(apps) == []


def test_no_view_over_attributes_is_written_to_by_the_function_of_another_one(apps: Apps) -> None:
    """What only one of them showed was lost without a word, though RETURNING had it."""
    apis = [API(name="v1_people"), API(schema="api_v1", name="people", columns=["id"])]
    model(apps, base=PGCraftEAV, pgcraft={"api": apis})
    expect(messages(apps), "E037", 'API(schema="api_v1", name="all_people")')


def test_one_name_in_two_schemas_is_fine(apps: Apps) -> None:
    model(apps, pgcraft={"api": [API(name="people"), API(name="people", schema="admin_api")]})
    assert messages(apps) == []


def test_an_embedding_whose_name_is_too_long_is_an_error(apps: Apps) -> None:
    label, twice = model(apps, "Label"), "x" * 64
    person = model(
        apps,
        **{twice: models.ManyToManyField(label, db_table="one"), "b": models.ManyToManyField(label, related_name="b")},
    )
    for name, through in (("one", twice), ("two", "b")):
        link = person._meta.get_field(through).remote_field.through
        link._meta.db_table = name
        register(link, api=API(), app_label="shop")
    expect(messages(apps), "E011", "another name for the field")


def test_a_model_that_two_apps_expose_is_an_error(apps: Apps) -> None:
    register(model(apps), api=API(name="persons"), app_label="library")
    found = messages(apps)
    expect(found, "E038", "Write all of its APIs as one list in shop: api=[API(), API(name=…)]")
    assert "from library" in str(found[0].hint)


def test_a_proxy_that_another_app_exposes_shares_the_table(apps: Apps) -> None:
    graduate = type("Graduate", (model(apps),), {"__module__": __name__, "Meta": _proxy(apps)})
    register(graduate, api=API(name="graduates"), app_label="library")
    expect(messages(apps), "E038", "as one list in shop")


def test_a_model_that_only_another_app_exposes_is_fine(apps: Apps) -> None:
    register(model(apps, pgcraft={"api": None}), api=API(name="persons"), app_label="library")
    assert messages(apps) == []


def test_a_model_exposed_twice_by_one_app_is_fine(apps: Apps) -> None:
    graduate = type("Graduate", (model(apps),), {"__module__": __name__, "Meta": _proxy(apps)})
    register(graduate, api=API(name="graduates"), app_label="shop")
    assert messages(apps) == []


def _proxy(apps: Apps) -> type:
    return type("Meta", (), {"apps": apps, "app_label": "shop", "proxy": True})


READ = {"webuser": ["select"]}
PAST: dict[str, tuple[type[models.Model], str, dict[str, Any], list[str]]] = {
    "history": (PGCraftAppendOnly, "history_api", {}, ["name"]),
    "attributes": (PGCraftEAV, "attribute_api", {}, ["old_value", "new_value"]),
    "states": (
        PGCraftStateMachine,
        "transition_api",
        {"state_field": "name", "transitions": {"new": ["done"]}},
        ["from_state", "to_state"],
    ),
}
"""Base, the option for what it keeps of the past, what else is declared, and what tells former values of `name`."""


def past(apps: Apps, kind: str, api: Any, kept: API) -> None:
    base, option, others, _ = PAST[kind]
    name = models.TextField(default="new")
    model(apps, base=base, pgcraft={"api": api, option: kept, **others}, name=name, note=models.TextField(null=True))


@pytest.mark.parametrize("kind", PAST)
def test_what_a_role_does_not_see_of_rows_is_not_shown_to_it_of_their_past_without_a_warning(
    apps: Apps, kind: str
) -> None:
    apis = [API(exclude=["name"], grants=READ), API(name="all_of_it", grants={"anon": ["select"]})]
    past(apps, kind, apis, API(grants={**READ, "anon": ["select"]}))
    found = messages(apps)
    expect(found, "W005", f"Write exclude={json.dumps(PAST[kind][-1])} in its API")
    assert 'shows "name" to "webuser", but' in found[0].msg  # and not to anon, who sees it anyway


@pytest.mark.parametrize("kind", PAST)
@pytest.mark.parametrize(
    ("api", "grants"), [(None, READ), (API(columns=["name", "note"], grants=READ), READ), (API(grants=READ), {})]
)
def test_a_past_that_shows_no_more_than_the_rows_or_is_shown_alone_is_fine(
    apps: Apps, kind: str, api: API | None, grants: Any
) -> None:
    past(apps, kind, api, API(grants=grants))
    assert messages(apps) == []


@pytest.mark.parametrize("kind", PAST)
def test_a_past_that_hides_what_the_rows_hide_is_fine(apps: Apps, kind: str) -> None:
    past(apps, kind, API(exclude=["name"], grants=READ), API(exclude=PAST[kind][-1], grants=READ))
    assert messages(apps) == []


def test_a_balance_that_shows_a_hidden_dimension_is_warned_about(apps: Apps) -> None:
    plugins = [Balance(dimensions=["name"], api=API(grants=READ))]
    model(apps, base=PGCraftLedger, pgcraft={"api": API(exclude=["name"], grants=READ), "plugins": plugins})
    expect(messages(apps), "W005", 'Write exclude=["name"] in its API')


def test_an_abstract_model_cannot_be_registered(apps: Apps) -> None:
    base = model(apps, "Base", base=models.Model, meta={"abstract": True})
    model(apps, "Student", base=base)
    register(base, api=API(), app_label="shop")
    expect(messages(apps), "E039", "register(Student, …)")


def test_a_swapped_model_cannot_be_registered(apps: Apps, settings: Settings) -> None:
    settings.SHOP_PERSON_MODEL = "library.Member"
    model(apps, "Member", label="library", base=models.Model)
    swapped = model(apps, base=models.Model, meta={"swappable": "SHOP_PERSON_MODEL"})
    register(swapped, api=API(), app_label="shop")
    expect(messages(apps), "E039", 'register(apps.get_model("library.Member"), …)')


def test_a_registration_for_an_app_that_is_not_installed_is_an_error(apps: Apps) -> None:
    register(model(apps, base=models.Model), api=API(), app_label="libary")
    expect(messages(apps), "E040", 'app_label="library"')


def test_a_registration_for_an_app_without_migrations_is_an_error(apps: Apps, settings: Settings) -> None:
    settings.MIGRATION_MODULES = {}
    register(model(apps, base=models.Model), api=API(), app_label="library")
    expect(messages(apps), "E040", "Create the empty file library/migrations/__init__.py")


@pytest.mark.parametrize("value", ["auth.Group", ["auth.Group"], None, 5])
def test_what_is_no_model_class_is_refused_at_once(value: object) -> None:
    with pytest.raises(ConfigurationError, match="takes one model class"):
        register(value, api=API(), app_label="shop")  # type: ignore[arg-type]
