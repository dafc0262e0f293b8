"""How logins end: by the user, by their account, by time. Then it gives no tokens, and its tokens are refused.

The user is told by Django's own signals, and asked again whenever a login is refreshed.
"""

from datetime import timedelta
from typing import Any, Self

from django.contrib.auth.signals import user_logged_out
from django.db import models, transaction
from django.db.models.signals import post_save
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

SESSION_KEY = "_pgcraft_login"
"""Where a session of Django has the key of its login."""
LEEWAY = timedelta(minutes=1)
"""PostgREST takes tokens for half a minute more than they say."""
CLEANED_AT_ONCE = 100
"""Rows: so no request waits for the leftovers of a year."""


class LoginQuerySet(models.QuerySet[Any]):
    """Logins, and single tokens that were revoked."""

    def live(self) -> Self:
        """Return the logins that have not ended."""
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())

    def revoke(self) -> int:
        """End the logins. Return how many had not ended."""
        return self.filter(revoked_at=None).update(revoked_at=timezone.now())

    def clean(self) -> None:
        """Delete some of those whose tokens have all expired. Who else does so meanwhile is not waited for."""
        with transaction.atomic(using=self.db):
            old = self.filter(expires_at__lt=timezone.now() - LEEWAY).select_for_update(skip_locked=True)
            self.filter(pk__in=list(old.values_list("pk", flat=True)[:CLEANED_AT_ONCE])).delete()


def session_mark(session: Any) -> str:
    """Return what the keys of the session's logins begin with; an empty text for what has no key of its own."""
    key = getattr(session, "session_key", None)
    return salted_hmac(SESSION_KEY, key, algorithm="sha256").hexdigest()[:32] + "." if key else ""


def of_session(session: Any) -> models.Q:
    """Return what is true of the session's logins: of two requests at once, each may make one, and one is noted."""
    noted = models.Q(pk=session.get(SESSION_KEY) or "")
    mark = session_mark(session)
    return noted | models.Q(pk__startswith=mark) if mark else noted


def session_hash(user: Any) -> str:
    """Return what changes with the password, as Django's sessions have it."""
    made = getattr(user, "get_session_auth_hash", None)
    return str(made()) if made else ""


def is_still(user: Any, known: str) -> bool:
    """Tell whether the account is active, and the password the one that `known` was made with."""
    if not user.is_active:
        return False
    older = getattr(user, "get_session_auth_fallback_hash", None)  # SECRET_KEY_FALLBACKS
    hashes = [session_hash(user), *(older() if older else ())]
    return any(constant_time_compare(known, item) for item in hashes)


def follow_users(model: type[models.Model]) -> None:
    """Let logins of `model` end with what happens to their users."""

    def saved(instance: Any, created: bool, raw: bool, using: str, update_fields: Any, **kwargs: Any) -> None:
        # The sender may be a proxy or a child of the class of users.
        users: Any = model._meta.get_field("user").related_model
        if not isinstance(instance, users):
            return
        # At each login Django writes `last_login` alone.
        if created or raw or (update_fields is not None and not {"password", "is_active"} & set(update_fields)):
            return
        live = LoginQuerySet(model, using=using).live().filter(user=instance)
        ended = [login.pk for login in live if not is_still(instance, login.auth_hash)]
        if ended:
            live.filter(pk__in=ended).revoke()

    def logged_out(request: Any, **kwargs: Any) -> None:
        LoginQuerySet(model).filter(of_session(getattr(request, "session", {}))).revoke()

    name = f"pgcraft_django.login.{model._meta.label}"
    post_save.connect(saved, weak=False, dispatch_uid=name)
    user_logged_out.connect(logged_out, weak=False, dispatch_uid=name)
