"""The setting PGCRAFT."""

from pathlib import Path
from typing import Any

import pytest
from django.apps.registry import Apps
from pytest_django import Settings

from pgcraft_django.conf import Config, get_config
from tests.checks.declare import expect, messages

LONG = "x" * 64
BAD: list[tuple[str, Any, str]] = [
    ("E001", ["anon"], 'PGCRAFT = {"ROLES": ["anon"]}'),
    ("E001", None, 'PGCRAFT = {"ROLES": ["anon"]}'),
    ("E002", {"TABLE_SCHEMAS": "private"}, 'Write "TABLE_SCHEMA"'),
    ("E002", {"zzz": 1}, '"POSTGREST"'),
    ("E002", {5: 1}, '"POSTGREST"'),
    ("E003", {"TABLE_SCHEMA": 5}, '"TABLE_SCHEMA": "private"'),
    ("E003", {"API_SCHEMA": None}, '"API_SCHEMA": "api"'),
    ("E003", {"ANON_ROLE": None}, '"ANON_ROLE": ""'),
    ("E003", {"AUTHENTICATOR_ROLE": b"x"}, '"AUTHENTICATOR_ROLE": "authenticator"'),
    ("E003", {"ROLES": "webuser"}, '"ROLES": ["webuser"]'),
    ("E003", {"ROLES": [1]}, '"ROLES": ["anon"]'),
    ("E003", {"DEFAULT_GRANTS": ["select"]}, '"DEFAULT_GRANTS": {"anon": ["select"]}'),
    ("E003", {"POSTGREST": "db-max-rows=1000"}, '"POSTGREST": {"db-max-rows": 1000}'),
    ("E003", {"POSTGREST_BINARY": 1}, '"POSTGREST_BINARY": "/usr/local/bin/postgrest"'),
    ("E004", {"API_SCHEMA": "public"}, '"API_SCHEMA": "api"'),
    ("E004", {"API_SCHEMA": "private"}, '"API_SCHEMA": "api"'),
    ("E004", {"TABLE_SCHEMA": "api"}, '"TABLE_SCHEMA": "private"'),
    ("E005", {"ROLES": ["anon", "authenticator"]}, '"ROLES": ["anon"]'),
    ("E005", {"AUTHENTICATOR_ROLE": "anon"}, '"AUTHENTICATOR_ROLE": "authenticator"'),
    ("E011", {"TABLE_SCHEMA": LONG}, '"TABLE_SCHEMA": "xxxx'),
    ("E011", {"TABLE_SCHEMA": ""}, '"TABLE_SCHEMA": "private"'),
    ("E011", {"API_SCHEMA": "a\0b"}, '"API_SCHEMA": "api"'),
    ("E011", {"API_SCHEMA": "one,two"}, '"API_SCHEMA": "one_two"'),
    ("E011", {"ANON_ROLE": "é" * 32, "DEFAULT_GRANTS": {}}, '"ANON_ROLE": "é'),
    ("E011", {"AUTHENTICATOR_ROLE": ""}, '"AUTHENTICATOR_ROLE": "authenticator"'),
    ("E011", {"ROLES": ["anon", "\ud800"]}, '"ROLES": ["anon", "webuser"]'),
    ("E012", {"TABLE_SCHEMA": "pg_private"}, '"TABLE_SCHEMA": "private"'),
    ("E012", {"API_SCHEMA": "information_schema"}, '"API_SCHEMA": "api"'),
    ("E012", {"TABLE_SCHEMA": "$user"}, '"TABLE_SCHEMA": "private"'),
    ("E012", {"ROLES": ["anon", "public"]}, '"ROLES": ["anon", "webuser"]'),
    ("E012", {"AUTHENTICATOR_ROLE": "pg_monitor"}, '"AUTHENTICATOR_ROLE": "authenticator"'),
    ("E013", {"DEFAULT_GRANTS": {"anon": "select, insert"}}, '"anon": ["select", "insert"]'),
    ("E013", {"DEFAULT_GRANTS": {"anon": None}}, '"anon": ["select"]'),
    ("E014", {"DEFAULT_GRANTS": {"webuser": "all"}}, '"ROLES": ["anon", "webuser"]'),
    ("E014", {"ANON_ROLE": "guest", "ROLES": []}, '"DEFAULT_GRANTS": {"guest": ["select"]}'),
    ("E014", {"ANON_ROLE": "", "ROLES": []}, '"DEFAULT_GRANTS": {}'),
    ("E015", {"DEFAULT_GRANTS": {"anon": ["SELECT", "updat"]}}, '"anon": ["select", "update"]'),
]


@pytest.mark.parametrize(("number", "value", "line"), BAD)
def test_a_wrong_setting_is_one_error_that_says_what_to_write(
    settings: Settings, apps: Apps, number: str, value: Any, line: str
) -> None:
    settings.PGCRAFT = value
    expect(messages(apps), number, line)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"TABLE_SCHEMA": "public"},
        {"TABLE_SCHEMA": 'he said "hi"', "API_SCHEMA": "Größe"},
        {"ROLES": ("anon", "webuser"), "DEFAULT_GRANTS": {}},
        {"ROLES": ["webuser"], "DEFAULT_GRANTS": {"webuser": "all", "anon": ("select",)}},
        {"ANON_ROLE": "", "ROLES": ["webuser"], "DEFAULT_GRANTS": {"webuser": ["insert", "select"]}},
        {"POSTGREST": {"db-max-rows": 10}, "POSTGREST_BINARY": Path("/bin/postgrest")},
    ],
)
def test_a_right_setting_is_no_message(settings: Settings, apps: Apps, value: Any) -> None:
    settings.PGCRAFT = value
    assert messages(apps) == []


def test_no_setting_at_all_is_fine(settings: Settings, apps: Apps) -> None:
    del settings.PGCRAFT
    assert messages(apps) == []


@pytest.mark.parametrize("value", [5, None, {"DEFAULT_GRANTS": ["select"]}, {"DEFAULT_GRANTS": None}])
def test_default_grants_that_are_not_understood_grant_nothing(settings: Settings, value: Any) -> None:
    settings.PGCRAFT = value
    assert get_config().default_grants == {}


def test_values_of_a_wrong_type_count_as_not_given(settings: Settings) -> None:
    settings.PGCRAFT = {"TABLE_SCHEMA": 5, "ROLES": "anon", "POSTGREST": [], "ANON_ROLE": ["anon"]}
    assert get_config() == Config()


def test_messages_never_repeat_a_value_that_may_be_a_secret(settings: Settings, apps: Apps) -> None:
    settings.PGCRAFT = {"POSTGRSET": {"jwt-secret": "hunter2"}, "POSTGREST": ["jwt-secret=hunter2"]}
    assert "hunter2" not in " ".join(map(str, messages(apps)))
