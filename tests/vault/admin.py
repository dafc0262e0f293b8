"""The admin of the gold."""

from django.contrib import admin

from pgcraft_django.admin import LedgerAdmin, LedgerInline
from tests.vault.models import Gold, Ingot, IngotBalance, Ounce, Room

admin.site.register([Gold, Ounce], LedgerAdmin)


class IngotInline(LedgerInline):
    """What came into the room or went."""

    model = Ingot


class BalanceInline(LedgerInline):
    """What is in the room."""

    model = IngotBalance


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):
    """Rooms, each with its bars."""

    inlines = [IngotInline, BalanceInline]
