"""Logins: who is logged in to Django gets tokens, PostgREST takes them until they end, and no others."""

import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.apps.registry import Apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.core.signing import Signer
from django.db import connections, transaction
from django.db.models import Model
from django.http import HttpRequest
from django.test import AsyncClient, Client, RequestFactory
from django.utils import timezone

from pgcraft_django.errors import ConfigurationError, RoleError
from pgcraft_django.logins import log_in, revoke_token, revoke_tokens
from pgcraft_django.postgrest.config import pre_request
from pgcraft_django.tokens import PRIVATE_KEY_VARIABLE, make_token
from tests.entrance.models import Letter, Login
from tests.support.databases import run_sql, temporary_database
from tests.support.served import Served, serve

SECRET = "a secret that is long enough to be one"
PASSWORD = "correct horse"
TOKEN, REFRESH, REVOKE = "/api/token/", "/api/token/refresh/", "/api/token/revoke/"


class ToAlias:
    """Routes everything to the database that is served: what a request reads has to be committed."""

    alias = ""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return self.alias

    db_for_write = db_for_read


class Reader(User):
    """A user, by another class."""

    class Meta:
        proxy = True
        apps = Apps()
        app_label = "entrance"


@pytest.fixture(scope="module")
def api(django_db_blocker: Any) -> Iterator[Served]:
    """The API with the function that `pgcraft_serve` would configure."""
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        ToAlias.alias = alias = stack.enter_context(temporary_database())
        for app in ("auth", "admin", "sessions", "entrance"):
            call_command("migrate", app, database=alias, verbosity=0)
        yield stack.enter_context(serve(alias, SECRET, pre_request(alias)))


@pytest.fixture(autouse=True)
def _project(api: Served, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    """A project with a secret and nothing in its tables."""
    monkeypatch.setenv("PGRST_JWT_SECRET", SECRET)
    monkeypatch.delenv(PRIVATE_KEY_VARIABLE, raising=False)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # for speed
    settings.DATABASE_ROUTERS = [f"{__name__}.ToAlias"]
    yield
    for table in ("private.logins", "private.letters", "auth_user", "django_session"):
        api.execute(f"DELETE FROM {table}")


@pytest.fixture
def user(_project: None) -> User:
    found = get_user_model().objects.create_user("ada", password=PASSWORD)
    Letter.objects.create(reader=found, text="Dear Ada")
    return found


@pytest.fixture
def browser(user: User) -> Client:
    """A browser that is logged in to Django."""
    client = Client()
    assert client.login(username="ada", password=PASSWORD)
    return client


def post(client: Client, url: str, **content: str) -> dict[str, Any]:
    answer = client.post(url, content)
    assert answer["Cache-Control"] == "no-store"
    return {"status": answer.status_code, **answer.json()}


def said(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, SECRET, ["HS256"]))


def letters(api: Served, token: str) -> tuple[int, Any]:
    answer = api.anon.get("/letters?select=text", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json()


DEAR = (200, [{"text": "Dear Ada"}])


def refused(answer: tuple[int, Any]) -> str:
    """Return why the function has refused a request."""
    status, content = answer
    assert (status, content["code"], content["hint"]) == (401, "PT401", "Get a new token."), content
    return str(content["message"])


# -- From the session to the API ---------------------------------------------------------------------------------


def test_who_is_logged_in_gets_a_token_and_with_it_their_rows(api: Served, user: User, browser: Client) -> None:
    answer = post(browser, TOKEN)
    assert answer.pop("status") == 200
    assert answer.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 900)
    claims = said(answer["access_token"])
    assert (claims["role"], claims["sub"], claims["exp"] - claims["iat"]) == ("webuser", str(user.pk), 900)
    assert letters(api, answer["access_token"]) == DEAR


def test_who_is_not_logged_in_gets_nothing() -> None:
    answer = post(Client(), TOKEN)
    assert (answer["status"], answer["error"]) == (401, "login_required")
    assert not Login.objects.exists()


@pytest.mark.parametrize("url", [TOKEN, REFRESH, REVOKE])
def test_tokens_are_not_to_be_had_by_a_link(browser: Client, url: str) -> None:
    assert browser.get(url).status_code == 405


def test_another_site_cannot_ask_with_the_cookie_of_a_user(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post(TOKEN).status_code == 403
    client.cookies["csrftoken"] = token = "a" * 32
    assert client.post(TOKEN, headers={"X-CSRFToken": token}).status_code == 200


def test_an_asynchronous_server_gives_tokens_too(user: User) -> None:
    from asgiref.sync import async_to_sync

    client = AsyncClient()
    client.force_login(user)
    answer = async_to_sync(client.post)(TOKEN)
    assert said(answer.json()["access_token"])["sub"] == str(user.pk)
    again = async_to_sync(client.post)(REFRESH, {"refresh_token": answer.json()["refresh_token"]})
    assert again.status_code == 200


def test_a_session_has_one_login_and_another_session_another(user: User, browser: Client) -> None:
    first, second = (said(post(browser, TOKEN)["access_token"]) for _ in range(2))
    assert first["sid"] == second["sid"]
    assert first["jti"] != second["jti"]
    other = Client()
    other.force_login(user)
    assert said(post(other, TOKEN)["access_token"])["sid"] != first["sid"]


# -- Refresh -----------------------------------------------------------------------------------------------------


def test_a_refresh_token_gets_the_next_pair_without_a_session(api: Served, browser: Client) -> None:
    first = post(browser, TOKEN)
    second = post(Client(enforce_csrf_checks=True), REFRESH, refresh_token=first["refresh_token"])
    assert second["status"] == 200
    assert second["refresh_token"] != first["refresh_token"]
    third = Client().post(REFRESH, {"refresh_token": second["refresh_token"]}, content_type="application/json")
    assert letters(api, third.json()["access_token"]) == DEAR


def test_who_asks_twice_at_once_gets_the_same(browser: Client) -> None:
    first = post(browser, TOKEN)["refresh_token"]
    second, retried = (post(browser, REFRESH, refresh_token=first)["refresh_token"] for _ in range(2))
    assert second == retried


def test_who_asks_twice_does_not_get_more_time_by_it(browser: Client) -> None:
    first = post(browser, TOKEN)["refresh_token"]
    post(browser, REFRESH, refresh_token=first)
    used = timezone.now() - timedelta(seconds=9)
    Login.objects.update(refreshed_at=used)
    assert post(browser, REFRESH, refresh_token=first)["status"] == 200
    assert Login.objects.get().refreshed_at == used


def test_of_many_that_refresh_at_the_same_moment_none_is_a_thief(api: Served, browser: Client) -> None:
    first = post(browser, TOKEN)["refresh_token"]

    def ask(number: int) -> str:
        try:
            return str(post(Client(), REFRESH, refresh_token=first)["refresh_token"])
        finally:
            connections[api.alias].close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert Login.objects.get().generation == 1


def test_a_token_that_was_used_before_ends_the_login_for_thief_and_user(api: Served, browser: Client) -> None:
    first = post(browser, TOKEN)
    second = post(browser, REFRESH, refresh_token=first["refresh_token"])
    Login.objects.update(refreshed_at=timezone.now() - timedelta(seconds=11))
    stolen = post(browser, REFRESH, refresh_token=first["refresh_token"])
    assert (stolen["status"], stolen["error"]) == (401, "invalid_grant")
    assert post(browser, REFRESH, refresh_token=second["refresh_token"])["status"] == 401
    assert refused(letters(api, second["access_token"])) == "The login of the token has ended."


def test_a_token_of_two_refreshes_ago_ends_the_login_at_once(api: Served, browser: Client) -> None:
    first = post(browser, TOKEN)["refresh_token"]
    second = post(browser, REFRESH, refresh_token=first)["refresh_token"]
    third = post(browser, REFRESH, refresh_token=second)
    assert post(browser, REFRESH, refresh_token=second)["refresh_token"] == third["refresh_token"]
    assert post(browser, REFRESH, refresh_token=first)["status"] == 401
    assert post(browser, REFRESH, refresh_token=third["refresh_token"])["status"] == 401
    assert refused(letters(api, third["access_token"])) == "The login of the token has ended."


@pytest.mark.parametrize("content", ["", "[", "[]", "null", "[" * 99999, '{"refresh_token": 1}', "\xff"], ids=range(7))
@pytest.mark.parametrize("url", [REFRESH, REVOKE])
def test_what_is_no_request_is_told(url: str, content: str) -> None:
    assert Client().post(url, content, content_type="application/json").status_code == 400


def test_what_is_no_refresh_token_gets_nothing_and_ends_nothing(browser: Client) -> None:
    given = post(browser, TOKEN)
    key, _, signature = given["refresh_token"].partition(":")
    wrong = [given["access_token"], key, f"{key[:-1]}1:{signature}", f"{key}:{signature[:-2]}xx", "\x00", "é:é"]
    of_another_project = Signer(salt="pgcraft_django.refresh").sign("a login that is not here.0")
    for text in (*wrong, of_another_project, "\ud800:x", "x:\ud800", ":" * 100_000):
        shown = {"refresh_token": text}
        answer = browser.post(REFRESH, shown, content_type="application/json")
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_grant")
        assert browser.post(REVOKE, shown, content_type="application/json").status_code == 200
    for text in wrong:
        assert post(browser, REFRESH, refresh_token=text)["error"] == "invalid_grant"
    assert post(browser, REFRESH, refresh_token=given["refresh_token"])["status"] == 200


def test_a_login_ends_by_time_and_its_last_token_with_it(settings: Any, browser: Client) -> None:
    settings.PGCRAFT = {**settings.PGCRAFT, "LOGIN_LIFETIME": 100}
    given = post(browser, TOKEN)
    assert given["expires_in"] in (99, 100)
    Login.objects.update(expires_at=timezone.now())
    assert post(browser, REFRESH, refresh_token=given["refresh_token"])["error"] == "invalid_grant"
    assert said(post(browser, TOKEN)["access_token"])["sid"] != said(given["access_token"])["sid"]


def test_what_has_ended_by_time_is_cleared_away(user: User, browser: Client) -> None:
    for key, age in (("old", 120), ("just", 0), ("new", -100)):
        Login.objects.create(pk=key, user=user, expires_at=timezone.now() - timedelta(seconds=age))
    post(browser, TOKEN)
    assert set(Login.objects.exclude(generation=0, auth_hash__gt="").values_list("pk", flat=True)) == {"just", "new"}


# -- The end -----------------------------------------------------------------------------------------------------


def log_out(browser: Client, given: dict[str, Any], user: User) -> None:
    browser.logout()
    browser.cookies.clear()


def change_password(browser: Client, given: dict[str, Any], user: User) -> None:
    user.set_password("another")
    user.save()


def deactivate(browser: Client, given: dict[str, Any], user: User) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def deactivate_by_a_proxy(browser: Client, given: dict[str, Any], user: User) -> None:
    reader = Reader.objects.get(pk=user.pk)
    reader.is_active = False
    reader.save()


ENDS = {
    "the API's log out": lambda browser, given, user: post(browser, REVOKE, refresh_token=given["refresh_token"]),
    "Django's log out": log_out,
    "the password": change_password,
    "the account": deactivate,
    "the account, by a proxy": deactivate_by_a_proxy,
    "the user": lambda browser, given, user: user.delete(),
    "revoke_tokens()": lambda browser, given, user: revoke_tokens(user),
    "revoke_token()": lambda browser, given, user: revoke_token(given["access_token"]),
}


@pytest.mark.parametrize("end", ENDS)
def test_after_the_end_nothing_refreshes_and_the_database_refuses(
    api: Served, user: User, browser: Client, end: str
) -> None:
    other = get_user_model().objects.create_user("bob")
    beside = Client()
    beside.force_login(other)
    kept = post(beside, TOKEN)
    given = post(browser, TOKEN)
    assert letters(api, given["access_token"]) == DEAR
    ENDS[end](browser, given, user)
    assert refused(letters(api, given["access_token"])) == "The login of the token has ended."
    assert post(Client(), REFRESH, refresh_token=given["refresh_token"])["error"] == "invalid_grant"
    assert letters(api, kept["access_token"]) == (200, [])
    assert post(beside, REFRESH, refresh_token=kept["refresh_token"])["status"] == 200


@pytest.mark.parametrize("end", ["the password", "the account", "the user"])
def test_no_login_begins_beside_what_ends_them_all(api: Served, user: User, browser: Client, end: str) -> None:
    """Who asks for tokens while the account is changed, in a transaction that nobody sees yet, does not escape it."""

    def ask() -> dict[str, Any]:
        try:
            return post(browser, TOKEN)
        finally:
            connections[api.alias].close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(using=api.alias):
            ENDS[end](browser, {}, user)
            asked = pool.submit(ask)
            time.sleep(0.3)
        answer = asked.result()
    assert (answer["status"], answer["error"]) == (403, "access_denied")
    assert not Login.objects.exists()


def test_what_refreshes_while_a_login_ends_outlives_it_not(api: Served, user: User, browser: Client) -> None:
    def ask(token: str) -> dict[str, Any]:
        try:
            return post(Client(), REFRESH, refresh_token=token)
        finally:
            connections[api.alias].close()

    with ThreadPoolExecutor(1) as pool:
        for _ in range(10):
            asked = pool.submit(ask, post(browser, TOKEN)["refresh_token"])
            revoke_tokens(user)
            if (answer := asked.result())["status"] == 200:
                assert letters(api, answer["access_token"])[0] == 401
                assert post(browser, REFRESH, refresh_token=answer["refresh_token"])["status"] == 401


def test_all_logins_that_a_session_got_at_once_end_with_it(api: Served, user: User, browser: Client) -> None:
    requests, made = [RequestFactory().post(TOKEN) for _ in range(2)], []
    for request in requests:  # each has read the session before the other has written it
        request.user, request.session = user, SessionStore(browser.session.session_key)
        assert request.session.get("_pgcraft_login") is None
    Login.objects.create(user=user, expires_at=timezone.now() + timedelta(hours=1))  # of no session
    made = [log_in(request) for request in requests]
    for request in requests:
        request.session.save()
    assert [letters(api, tokens.access) for tokens in made] == [DEAR, DEAR]
    browser.logout()
    assert [letters(api, tokens.access)[0] for tokens in made] == [401, 401]
    assert [post(Client(), REFRESH, refresh_token=tokens.refresh)["status"] for tokens in made] == [401, 401]
    assert Login.objects.filter(revoked_at=None).count() == 1


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!"}])
def test_also_changes_that_no_signal_tells_of_end_the_refreshing(
    user: User, browser: Client, change: dict[str, Any]
) -> None:
    given = post(browser, TOKEN)
    get_user_model().objects.filter(pk=user.pk).update(**change)
    assert post(Client(), REFRESH, refresh_token=given["refresh_token"])["error"] == "invalid_grant"


def test_a_new_secret_key_ends_nothing_while_the_old_one_is_a_fallback(settings: Any, browser: Client) -> None:
    given = post(browser, TOKEN)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    given = post(Client(), REFRESH, refresh_token=given["refresh_token"])
    assert given["status"] == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert post(Client(), REFRESH, refresh_token=given["refresh_token"])["status"] == 401


def test_a_user_that_is_saved_keeps_the_login(user: User, browser: Client) -> None:
    given = post(browser, TOKEN)
    user.first_name = "Ada"
    user.save()
    assert post(browser, REFRESH, refresh_token=given["refresh_token"])["status"] == 200


def test_a_token_without_a_login_can_be_revoked_alone(api: Served, user: User) -> None:
    first, second = (make_token("webuser", claims={"sub": str(user.pk)}) for _ in range(2))
    assert letters(api, first) == letters(api, second) == DEAR
    revoke_token(first)
    revoke_token(first)
    assert refused(letters(api, first)) == "The token was revoked."
    assert letters(api, second) == DEAR
    assert Login.objects.get().expires_at.timestamp() == pytest.approx(said(first)["exp"], abs=2)


def test_a_token_that_postgrest_still_takes_after_its_end_can_be_revoked(api: Served, user: User) -> None:
    token = make_token("webuser", claims={"sub": str(user.pk)}, expires=timedelta(seconds=-3))
    assert letters(api, token) == DEAR
    revoke_token(token)
    assert refused(letters(api, token)) == "The token was revoked."


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())])
def test_the_command_revokes_too_and_with_a_private_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: Any
) -> None:
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    monkeypatch.setenv(PRIVATE_KEY_VARIABLE, key.private_bytes(*kinds).decode())
    token = make_token("webuser")
    call_command("pgcraft_token", "--revoke", token)
    assert "refused from now on" in capsys.readouterr().out
    assert Login.objects.get().pk == jwt.decode(token, options={"verify_signature": False})["jti"]
    with pytest.raises(CommandError, match="no token that was made here"):
        call_command("pgcraft_token", "--revoke", f"{token}x")


def test_only_our_tokens_can_be_revoked() -> None:
    for wrong in ("x", jwt.encode({"exp": 9999999999, "jti": "1"}, "y" * 40, "HS256"), ""):
        with pytest.raises(ConfigurationError, match="no token that was made here"):
            revoke_token(wrong)
    assert not Login.objects.exists()


# -- What the project says of its users --------------------------------------------------------------------------


def tenant_claims(request: HttpRequest, user: Any) -> dict[str, Any]:
    """What a project writes."""
    return {"role": "webuser", "sub": str(user.pk), "tenant": request.headers["X-Tenant"], "sid": "forged", "exp": 1}


def no_claims(request: HttpRequest, user: Any) -> dict[str, Any]:
    """Who gets no token."""
    raise PermissionDenied("Pay first.")


def wrong_role(request: HttpRequest, user: Any) -> dict[str, Any]:
    """A mistake."""
    return {"role": "postgres"}


def no_role(request: HttpRequest, user: Any) -> dict[str, Any]:
    """Another."""
    return {"sub": "1"}


@pytest.fixture
def hook(settings: Any, request: pytest.FixtureRequest) -> None:
    settings.PGCRAFT = {**settings.PGCRAFT, "TOKEN_CLAIMS": f"{__name__}.{request.param}"}


@pytest.mark.parametrize("hook", ["tenant_claims"], indirect=True)
def test_the_project_says_the_claims_anew_each_time_but_no_time_and_no_login(
    api: Served, browser: Client, hook: None
) -> None:
    first = browser.post(TOKEN, headers={"X-Tenant": "a"}).json()
    second = browser.post(REFRESH, {"refresh_token": first["refresh_token"]}, headers={"X-Tenant": "b"}).json()
    assert [said(item["access_token"])["tenant"] for item in (first, second)] == ["a", "b"]
    assert said(first["access_token"])["sid"] == Login.objects.get().pk
    assert letters(api, second["access_token"]) == DEAR


@pytest.mark.parametrize("hook", ["no_claims"], indirect=True)
def test_the_project_may_give_none(browser: Client, hook: None) -> None:
    answer = post(browser, TOKEN)
    assert (answer["status"], answer["error_description"]) == (403, "Pay first.")
    assert not Login.objects.exists()


@pytest.mark.parametrize(
    ("hook", "error", "message"),
    [
        ("wrong_role", RoleError, "No request can"),
        ("no_role", ConfigurationError, "a role"),
        ("x", ConfigurationError, "imported"),
    ],
    indirect=["hook"],
)
def test_a_mistake_of_the_project_is_told_to_the_project(
    browser: Client, hook: None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        browser.post(TOKEN)


def test_tokens_show_in_no_log(browser: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    given = post(browser, TOKEN)
    post(browser, REFRESH, refresh_token=given["refresh_token"])
    post(browser, REFRESH, refresh_token=given["refresh_token"] + "x")
    assert "api/token" in caplog.text or caplog.text
    for part in (*given["access_token"].split("."), given["refresh_token"].partition(":")[2]):
        assert part not in caplog.text


# -- What else is shown to PostgREST -----------------------------------------------------------------------------


def signed(**claims: Any) -> str:
    claims = {"role": "webuser", "sub": "1", "exp": int(time.time()) + 60, **claims}
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, SECRET, "HS256")


def whoami(api: Served, headers: dict[str, str] | None = None) -> int:
    return api.anon.get("/letters", headers=headers).status_code


@pytest.mark.parametrize("exp", [None, "9999999999", True, [], {}])
def test_a_token_that_never_ends_is_refused(api: Served, exp: Any) -> None:
    status, content = letters(api, signed(exp=exp))
    assert status in (400, 401), content
    assert exp is not None or refused((status, content)) == "The token has no time when it ends (exp)."


def test_a_token_of_a_login_that_is_not_there_is_refused(api: Served) -> None:
    for sid in ("x", "", 1, None, [], {}):
        token = jwt.encode({"role": "webuser", "exp": time.time() + 60, "sid": sid}, SECRET, "HS256")
        assert refused(letters(api, token)) == "The login of the token has ended."


def test_nobody_needs_no_token(api: Served) -> None:
    assert api.anon.get("/letters").json() == []


@pytest.mark.parametrize("method", ["get", "head", "post", "patch", "delete", "put"])
def test_every_method_is_judged(api: Served, method: str) -> None:
    answer = api.anon.request(method, "/letters?id=eq.1", headers=api.token(role="webuser"), json={"text": "x"})
    assert answer.status_code == 401


HOSTILE = ["postgres", "authenticator", '"; DROP TABLE private.logins; --', "nobody_declared", "none", "", "ANON", "é"]


@pytest.mark.parametrize("role", HOSTILE)
def test_a_role_that_no_request_can_have_is_refused_and_leaves_nothing_behind(api: Served, role: str) -> None:
    run_sql("DO $$ BEGIN CREATE ROLE nobody_declared; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    own = api.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'authenticator%' ORDER BY 1")
    roles = [name for (name,) in own] if role == "authenticator" else [role]
    for name in roles:
        status, content = letters(api, signed(role=name))
        assert status in (400, 401, 403), content
    for _ in range(4):  # more than there are connections
        assert whoami(api) == 200
    assert api.execute("SELECT count(*) FROM private.logins") == [(0,)]


def test_broken_tokens_are_refused_and_the_next_request_is_nobodys(api: Served, user: User) -> None:
    good = signed(sub=str(user.pk))
    head, body, _ = good.split(".")
    broken = {
        "unsigned": jwt.encode(said(good), None, "none"),
        "signed with another key": jwt.encode(said(good), "x" * 40, "HS256"),
        "expired": signed(exp=int(time.time()) - 60),
        "not valid yet": signed(nbf=int(time.time()) + 600),
        "without a signature": f"{head}.{body}.",
        "with that of another": f"{head}.{body}.{signed(sub='2').split('.')[2]}",
        "no token": "x",
        "no JSON": f"{head}.eA.{good.split('.')[2]}",
    }
    for name, token in broken.items():
        assert letters(api, good) == DEAR
        status, content = letters(api, token)
        assert status == 401, (name, content)
        for _ in range(3):
            assert api.anon.get("/letters").json() == [], name


def test_a_token_without_a_role_is_nobodys(api: Served, user: User) -> None:
    token = signed(role=None, sub=str(user.pk))
    assert letters(api, token)[0] == 200
    assert refused(letters(api, signed(role=None, exp=None))) == "The token has no time when it ends (exp)."


def test_requests_see_nothing_of_logins_and_cannot_call_what_judges_them(api: Served) -> None:
    for path in ("/logins", "/rpc/check_token"):
        assert api.webuser.get(path, headers={"Authorization": f"Bearer {signed()}"}).status_code == 404
    for role in ("anon", "webuser"):
        assert api.execute(
            f"SELECT has_table_privilege('{role}', 'private.logins', 'SELECT, INSERT, UPDATE, DELETE')"
        ) == [(False,)]
        assert api.execute(f"SELECT has_schema_privilege('{role}', 'private', 'USAGE')") == [(False,)]
    assert "check_token" not in json.dumps(api.anon.get("/").json())
