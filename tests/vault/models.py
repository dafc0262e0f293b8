"""Gold, and where it lies."""

from django.db import models

from pgcraft_django.models import PGCraftLedger
from pgcraft_django.plugins import Balance


class Gold(PGCraftLedger):
    """Bars that came or went."""

    vault = models.TextField()
    owner = models.TextField(null=True)

    class Meta:
        db_table = "gold"
        verbose_name = "gold"

    class PGCraft:
        api = None
        idempotency = True
        plugins = [Balance(dimensions=["vault", "owner"], minimum=0)]


class Ounce(Gold):
    """The same by another name."""

    class Meta:
        proxy = True
