"""The admin of the tickets."""

from django.contrib import admin

from pgcraft_django.admin import StateMachineAdmin, StateMachineInline
from tests.tickets.models import Desk, Errand, Ticket, Urgent


@admin.register(Ticket)
class TicketAdmin(StateMachineAdmin):
    """Tickets with buttons; only superusers close them."""

    list_display = ["title", "phase"]

    def has_transition_permission(self, request, obj, to):
        return super().has_transition_permission(request, obj, to) and (to != "closed" or request.user.is_superuser)


admin.site.register([Errand, Urgent], StateMachineAdmin)


class TicketInline(StateMachineInline):
    """What lies on the desk."""

    model = Ticket
    extra = 1


@admin.register(Desk)
class DeskAdmin(admin.ModelAdmin):
    """Desks, each with its tickets."""

    inlines = [TicketInline]
