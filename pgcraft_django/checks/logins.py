"""Logins and the tokens they give: what would fail only when somebody wants one."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse

from pgcraft_django.conf import Config, get_config
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.factories.login.objects import FUNCTION, request_schema
from pgcraft_django.logins import claims_hook
from pgcraft_django.messages import error, source, warning
from pgcraft_django.postgrest.config import collect
from pgcraft_django.registry import login_models
from pgcraft_django.request_role import user_role


def check_logins(*, apps: Apps = global_apps, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the model of logins, and with the settings that only logins have."""
    found = login_models(apps)
    messages = [*_lifetimes(), *_hook()]
    if found:
        messages += [*_default_role(), *_library(), *_pre_request(), *_audience()]
        messages += [
            error(
                "E125",
                f"There are logins already, {found[0]._meta.label}, and PostgREST asks one function only.",
                hint=f"Remove it, or write class {model.__name__}({found[0].__name__}) with proxy = True in class Meta",
                obj=model,
            )
            for model in found[1:]
        ]
    elif _has_urls():
        messages.append(
            error(
                "E126",
                "The URLs give tokens, and there is no model of logins.",
                hint="Write class Login(PGCraftLogin): pass, in models.py of an app",
            )
        )
    return messages


def _lifetimes() -> Iterator[CheckMessage]:
    for key in ("TOKEN_LIFETIME", "LOGIN_LIFETIME"):
        value, example = (getattr(config, key.lower()) for config in (get_config(), Config()))
        if value <= 0:
            message = f"{key} is {value}; tokens would have expired before they are given."
            yield error("E121", message, hint=f"Write {source(key)}: {example}")


def _hook() -> Iterator[CheckMessage]:
    try:
        claims_hook()
    except ConfigurationError as problem:
        yield error("E122", str(problem), hint="Write the path of a function: def claims(request, user) -> dict")


def _default_role() -> Iterator[CheckMessage]:
    if get_config().token_claims:
        return
    try:
        user_role()
    except ConfigurationError as problem:
        yield error(
            "E123",
            str(problem),
            hint='Write "TOKEN_CLAIMS": "accounts.tokens.claims", a function that says the role of a user',
        )


def _library() -> Iterator[CheckMessage]:
    if find_spec("jwt") is None:
        yield error("E127", "Tokens need PyJWT.", hint='Run: pip install "pgcraft-django[tokens]"')


def _pre_request() -> Iterator[CheckMessage]:
    served = _served("db-pre-request")
    ours = f"{request_schema()}.{FUNCTION}"
    if served and served != ours:
        yield warning(
            "W121",
            f"db-pre-request is {served!r}: PostgREST does not ask {ours} whether a token may be used.",
            hint=f"Write PERFORM {ours}(); at its beginning, and silence this warning",
        )


def _audience() -> Iterator[CheckMessage]:
    declared, served = get_config().postgrest.get("jwt-aud"), _served("jwt-aud")
    if served != declared:
        yield warning(
            "W122",
            f"PGRST_JWT_AUD is {served!r}, which migrations do not know: the database does not insist on it.",
            hint=f'Write "POSTGREST": {{"jwt-aud": {source(served)}}} in PGCRAFT, and run manage.py makemigrations',
        )


def _served(name: str) -> Any:
    """Return what PostgREST is told, by the environment too."""
    try:
        return collect().get(name)
    except ConfigurationError:
        return get_config().postgrest.get(name)  # said where PostgREST is started


def _has_urls() -> bool:
    if not hasattr(settings, "ROOT_URLCONF"):
        return False
    try:
        reverse("pgcraft_django:token")
    except (NoReverseMatch, ImproperlyConfigured, ImportError):
        return False  # wrong URLs are Django's to tell
    return True
