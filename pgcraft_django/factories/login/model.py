"""The declaration: a row for each login, which gives tokens until it ends."""

import uuid
from collections.abc import Iterator
from typing import ClassVar

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.db import models

from pgcraft_django.api import declared_api
from pgcraft_django.factories.base import Factory, PGCraftModel
from pgcraft_django.factories.login.ending import LoginQuerySet, follow_users
from pgcraft_django.factories.login.objects import login_objects
from pgcraft_django.messages import error
from pgcraft_django.objects import DatabaseObject


def new_key() -> str:
    """Return the key of a new login. Migrations name this function."""
    return str(uuid.uuid4())


class LoginFactory(Factory):
    """Adds the function that PostgREST asks before each request. No request sees the table."""

    privileges = frozenset()

    def prepare(self, model: type[models.Model]) -> None:
        if model._meta.apps is apps:  # others have users of their own
            follow_users(model)

    def objects(self, model: type[models.Model], schema: str) -> Iterator[DatabaseObject]:
        return login_objects(model, schema)

    def check(self, model: type[models.Model]) -> Iterator[CheckMessage]:
        if declared_api(model) is not None:
            yield error(
                "E124",
                "Logins cannot be exposed: requests would tell of themselves whether they are valid.",
                hint="Write class PGCraft(PGCraftLogin.PGCraft), or api = None in it",
                obj=model,
            )


class PGCraftLogin(PGCraftModel):
    """A login: what a user's tokens come from. Or, without a user, a single token that was revoked before its time."""

    pgcraft_factory: ClassVar[Factory] = LoginFactory()

    id = models.TextField(primary_key=True, default=new_key, editable=False, help_text="`sid` or `jti` of tokens.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    refreshed_at = models.DateTimeField(null=True, editable=False)
    expires_at = models.DateTimeField(db_index=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)
    generation = models.PositiveIntegerField(default=0, editable=False, help_text="Counts the refreshes.")
    auth_hash = models.TextField(blank=True, default="", editable=False, help_text="Changes with the password.")

    objects = LoginQuerySet.as_manager()

    class Meta(PGCraftModel.Meta):
        abstract = True

    class PGCraft:
        api = None
