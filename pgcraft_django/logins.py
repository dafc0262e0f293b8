"""Logins: whoever is logged in to Django gets tokens for the API, and new ones until the login ends.

Two kinds of token. The *access token* is shown to PostgREST, says who it is and lives for minutes. The *refresh token*
is shown to Django alone, gets the next pair, and is good for once: who shows one that was used before has stolen it, or
has been stolen from, and the login ends. It is not kept, but signed with `SECRET_KEY`: the login's key, and a count.
"""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.signing import BadSignature, Signer
from django.db import router, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables

from pgcraft_django.conf import get_config
from pgcraft_django.errors import ConfigurationError, LoginEnded
from pgcraft_django.factories.login.ending import (
    LEEWAY,
    SESSION_KEY,
    LoginQuerySet,
    is_still,
    of_session,
    session_hash,
    session_mark,
)
from pgcraft_django.registry import login_models
from pgcraft_django.request_role import user_role
from pgcraft_django.tokens import make_token, read_token

RETRY = timedelta(seconds=10)
"""Who shows the last refresh token again so soon has not got the answer, or is another tab: the count stays."""
_SIGNER = "pgcraft_django.refresh"


@dataclass(frozen=True)
class Tokens:
    """What a login gives. It does not show itself."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_in: int
    """Seconds that the access token is valid."""


def default_claims(request: HttpRequest, user: Any) -> Mapping[str, Any]:
    """Return the role of who is logged in, the one beside `ANON_ROLE`, and the user's key as `sub`."""
    return {"role": user_role(), "sub": str(user.pk)}


def log_in(request: HttpRequest) -> Tokens:
    """Return tokens for the user of the request, who is logged in to Django. A session of Django has one login.

    Raises `PermissionDenied` if the user gets none, `ConfigurationError` or `RoleError` if the project cannot make
    them.
    """
    logins, user = _logins(), request.user
    if not user.is_active:
        raise PermissionDenied("The account is not active.")
    claims = _claims(request, user)
    session = getattr(request, "session", {})
    enough = timezone.now() + timedelta(seconds=get_config().token_lifetime)
    mine = logins.live().filter(of_session(session), user=user, expires_at__gte=enough).order_by("created_at")
    login = next((item for item in mine if is_still(user, item.auth_hash)), None)
    if login is None:
        with transaction.atomic(using=logins.db):
            _hold(user, logins.db)
            login = logins.create(
                pk=f"{session_mark(session)}{uuid.uuid4()}",
                user=user,
                auth_hash=session_hash(user),
                expires_at=timezone.now() + timedelta(seconds=get_config().login_lifetime),
            )
        session[SESSION_KEY] = login.pk
        logins.clean()
    return _tokens(login, claims)


def _hold(user: Any, using: str) -> None:
    """Lock the account, so that whoever is changing it either is waited for, or finds the login that is made now."""
    accounts = get_user_model()._base_manager.using(using)
    account = accounts.select_for_update(no_key=True).filter(pk=user.pk).first()
    if account is None or not is_still(account, session_hash(user)):
        raise PermissionDenied("The account has changed. Log in again.")


@sensitive_variables()
def refresh(request: HttpRequest, token: str) -> Tokens:
    """Return the next tokens of the login that the refresh token is of.

    Raises `LoginEnded` if there is no such login, it has ended, or it ends now: the token was used before. Otherwise
    as `log_in()`.
    """
    logins = _logins()
    key, count = _read(token)
    with transaction.atomic(using=logins.db):
        login = logins.live().select_for_update().filter(pk=key).first()
        if login is None or not is_still(login.user, login.auth_hash):
            raise LoginEnded("The login has ended.")
        again = count == login.generation - 1 and login.refreshed_at > timezone.now() - RETRY
        stolen = count != login.generation and not again
        if stolen:
            logins.filter(pk=key).revoke()
        else:
            claims = _claims(request, login.user)
            if not again:
                login.generation += 1
                login.refreshed_at = timezone.now()
                login.save(update_fields=["generation", "refreshed_at"])
    if stolen:
        raise LoginEnded("The token was used before: the login ends.")
    return _tokens(login, claims)


@sensitive_variables()
def log_out(token: str) -> None:
    """End the login that the refresh token is of, whatever its age. Raises `LoginEnded` if it is none of ours."""
    _logins().filter(pk=_read(token)[0]).revoke()


def revoke_tokens(user: Any) -> int:
    """End all logins of the user: nothing refreshes, and the database refuses the tokens. Return how many ended."""
    return _logins().live().filter(user=user).revoke()


@sensitive_variables()
def revoke_token(token: str) -> None:
    """Let the database refuse this access token: with its login, or, if `make_token()` made it, alone.

    Raises `ConfigurationError` for what is no token of ours. One that expired a minute ago is refused already.
    """
    said = read_token(token)
    logins = _logins()
    if "sid" in said:
        logins.filter(pk=str(said["sid"])).revoke()
    elif said["exp"] > time.time() - LEEWAY.total_seconds():
        now = timezone.now()
        left = timedelta(seconds=min(said["exp"] - time.time(), timedelta(days=36500).total_seconds()))
        logins.update_or_create(pk=str(said["jti"]), defaults={"expires_at": now + left, "revoked_at": now})
    logins.clean()


def _logins() -> LoginQuerySet:
    found = login_models()
    if not found:
        raise ConfigurationError("There is no model of logins. Write in models.py of an app: class Login(PGCraftLogin)")
    return LoginQuerySet(found[0], using=router.db_for_write(found[0]))


def claims_hook() -> Any:
    """Return what says the role and the claims of a user. Raises `ConfigurationError` if it is not there."""
    path = get_config().token_claims
    if not path:
        return default_claims
    try:
        hook = import_string(path)
    except ImportError as error:
        raise ConfigurationError(f"TOKEN_CLAIMS is {path!r}, which cannot be imported: {error}") from error
    if not callable(hook):
        raise ConfigurationError(f"TOKEN_CLAIMS is {path!r}, which is no function.")
    return hook


def _claims(request: HttpRequest, user: Any) -> dict[str, Any]:
    said = claims_hook()(request, user)
    if not isinstance(said, Mapping) or not isinstance(said.get("role"), str):
        raise ConfigurationError('TOKEN_CLAIMS must return a dict with a role: {"role": "webuser", "sub": "1"}')
    return dict(said)


def _tokens(login: Any, claims: dict[str, Any]) -> Tokens:
    lifetime = timedelta(seconds=get_config().token_lifetime)
    lifetime = min(lifetime, login.expires_at - timezone.now())
    role = claims.pop("role")
    access = make_token(role, claims={**claims, "sid": login.pk}, expires=lifetime)
    signed = Signer(salt=_SIGNER).sign(f"{login.pk}.{login.generation}")
    return Tokens(access, signed, int(lifetime.total_seconds()))


def _read(token: str) -> tuple[str, int]:
    """Return the key of the login, and the count of the refresh token."""
    try:
        key, _, count = Signer(salt=_SIGNER).unsign(token).rpartition(".")
    except (BadSignature, UnicodeError):  # JSON may hold half a character
        raise LoginEnded("This is no refresh token.") from None
    return key, int(count)
