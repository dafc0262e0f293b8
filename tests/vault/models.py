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


class Room(models.Model):
    """Where bars lie."""

    name = models.TextField()

    class Meta:
        db_table = "rooms"

    def __str__(self) -> str:
        return self.name


class Ingot(PGCraftLedger):
    """Bars that came into a room or went."""

    room = models.ForeignKey(Room, models.PROTECT)
    metal = models.TextField()

    class Meta:
        db_table = "ingots"

    class PGCraft:
        api = None
        plugins = [Balance(dimensions=["room", "metal"], minimum=0)]
