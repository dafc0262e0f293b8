"""The playground's models. Change them, then: `just revision "what changed"`, `just migrate`."""

from django.db import models

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftSimple

GRANTS = {"anon": ["select"], "webuser": "all"}


class User(PGCraftSimple):
    """Somebody with an account."""

    name = models.TextField()
    email = models.EmailField(unique=True, null=True, blank=True)
    password_hint = models.TextField(blank=True, default="", help_text="Not in the API.")

    class Meta:
        db_table = "users"

    class PGCraft:
        api = API(exclude=["password_hint"], grants=GRANTS)

    def __str__(self) -> str:
        return self.name


class Student(PGCraftSimple):
    """Somebody who learns, with or without an account."""

    name = models.TextField()
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="students")

    class Meta:
        db_table = "students"

    class PGCraft:
        api = API(grants=GRANTS)

    def __str__(self) -> str:
        return self.name
