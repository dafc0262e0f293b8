"""The admin of the tickets."""

from django.contrib import admin

from pgcraft_django.admin import StateMachineAdmin
from tests.tickets.models import Ticket, Urgent


@admin.register(Ticket)
class TicketAdmin(StateMachineAdmin):
    """Tickets with buttons; only superusers close them."""

    list_display = ["title", "phase"]

    def has_transition_permission(self, request, obj, to):
        return super().has_transition_permission(request, obj, to) and (to != "closed" or request.user.is_superuser)


admin.site.register(Urgent, StateMachineAdmin)
