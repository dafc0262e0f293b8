"""Logins, and something that users see of themselves."""

from django.conf import settings
from django.db import models

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftLogin, PGCraftSimple
from pgcraft_django.policies import Claim, OwnerPolicy, Policy


class Login(PGCraftLogin):
    """Who got tokens."""

    class Meta:
        db_table = "logins"


class Letter(PGCraftSimple):
    """What only its reader sees."""

    reader = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    text = models.TextField()

    class Meta:
        db_table = "letters"

    class PGCraft:
        api = API(grants={"webuser": ["select"], "anon": ["select"]})
        policies = [
            OwnerPolicy("reader"),
            Policy("group", using=models.Q(reader__groups__name=Claim("group")), commands=["select"]),
        ]
