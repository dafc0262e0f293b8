"""Logins, and the settings that only they have."""

import sys
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models
from pytest_django import Settings

from pgcraft_django.api import API
from pgcraft_django.checks.deploy import check_exposure
from pgcraft_django.checks.logins import check_logins
from pgcraft_django.checks.models import check_models
from pgcraft_django.models import PGCraftLogin
from pgcraft_django.tokens import PRIVATE_KEY_VARIABLE
from tests.checks.declare import expect, model


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGRST_JWT_SECRET", "PGRST_JWT_AUD", PRIVATE_KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def logins(apps: Apps, name: str = "Login", **options: Any) -> type[models.Model]:
    return model(apps, name, base=PGCraftLogin, user=models.TextField(null=True), **options)


def change(settings: Settings, **values: Any) -> None:
    settings.PGCRAFT = {**settings.PGCRAFT, **values}


def claims(request: Any, user: Any) -> dict[str, Any]:
    """What a project says."""
    return {"role": "webuser"}


def test_good_logins_are_right(apps: Apps, settings: Settings) -> None:
    logins(apps)
    change(settings, TOKEN_CLAIMS=f"{__name__}.claims", ROLES=["anon", "a", "b"], TOKEN_LIFETIME=60)
    assert [*check_logins(apps=apps), *check_models(apps=apps)] == []


@pytest.mark.parametrize("key", ["TOKEN_LIFETIME", "LOGIN_LIFETIME"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_lifetime_is_positive(apps: Apps, settings: Settings, key: str, value: int) -> None:
    logins(apps)
    change(settings, **{key: value})
    expect(check_logins(apps=apps), "E121", f'"{key}": ')


@pytest.mark.parametrize("path", ["nothing", "no.module", f"{__name__}.nothing", f"{__name__}.__doc__"])
def test_the_claims_are_a_function(apps: Apps, settings: Settings, path: str) -> None:
    logins(apps)
    change(settings, TOKEN_CLAIMS=path)
    expect(check_logins(apps=apps), "E122", "def claims(request, user)")


@pytest.mark.parametrize("roles", [["anon"], ["anon", "webuser", "editor"]])
def test_it_is_said_which_role_a_user_gets(apps: Apps, settings: Settings, roles: list[str]) -> None:
    logins(apps)
    change(settings, ROLES=roles)
    expect(check_logins(apps=apps), "E123", '"TOKEN_CLAIMS": ')


@pytest.mark.parametrize("said", [{"api": API(grants={"webuser": ["select"]})}, {"schema": "auth"}])
def test_logins_are_not_exposed_also_not_by_leaving_api_out(apps: Apps, said: dict[str, Any]) -> None:
    logins(apps, pgcraft=said)
    expect(check_models(apps=apps), "E124", "api = None")


def test_there_is_one_model_of_logins(apps: Apps) -> None:
    logins(apps)
    logins(apps, "Entry")
    expect(check_logins(apps=apps), "E125", "proxy = True")


def test_urls_need_a_model_of_logins(apps: Apps, settings: Settings) -> None:
    expect(check_logins(apps=apps), "E126", "class Login(PGCraftLogin)")
    settings.ROOT_URLCONF = "pgcraft_django.naming"
    assert check_logins(apps=apps) == []


def test_a_missing_library_is_told(apps: Apps, monkeypatch: pytest.MonkeyPatch) -> None:
    logins(apps)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "jwt", raising=False)
    expect(check_logins(apps=apps), "E127", "pgcraft-django[tokens]")


def test_another_function_before_each_request_is_warned_of(apps: Apps, settings: Settings) -> None:
    logins(apps)
    change(settings, POSTGREST={"db-pre-request": "public.mine"})
    expect(check_logins(apps=apps), "W121", "PERFORM api_request.check_token();")


def test_an_audience_of_the_environment_alone_is_warned_of(
    apps: Apps, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins(apps)
    monkeypatch.setenv("PGRST_JWT_AUD", "school")
    expect(check_logins(apps=apps), "W122", '"jwt-aud": "school"')
    change(settings, POSTGREST={"jwt-aud": "school"})
    assert check_logins(apps=apps) == []


def test_before_going_live_there_is_a_key_to_sign_with(apps: Apps, monkeypatch: pytest.MonkeyPatch) -> None:
    logins(apps)
    expect(check_exposure(apps=apps), "E118", PRIVATE_KEY_VARIABLE)
    monkeypatch.setenv("PGRST_JWT_SECRET", "x" * 40)
    assert check_exposure(apps=apps) == []


def test_tokens_without_an_end_are_warned_of(apps: Apps) -> None:
    model(apps, pgcraft={"api": API(grants={"webuser": ["select"]})})
    expect(check_exposure(apps=apps), "W114", "class Login(PGCraftLogin)")
