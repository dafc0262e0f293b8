"""Tickets: opened, taken, closed."""

from django.contrib.auth.models import User
from django.db import models

from pgcraft_django.models import PGCraftStateMachine, Transition


class Desk(models.Model):
    """Where somebody sits."""

    name = models.TextField()

    class Meta:
        db_table = "desks"

    def __str__(self) -> str:
        return self.name


class Ticket(PGCraftStateMachine):
    """What somebody is to look at."""

    class Phase(models.TextChoices):
        """Where it is."""

        OPEN = "open", "Open"
        TAKEN = "taken", "In work"
        CLOSED = "closed", "Closed <for good>"

    title = models.CharField(max_length=200)
    assignee = models.TextField(blank=True, default="")
    desk = models.ForeignKey(Desk, models.CASCADE, null=True, blank=True)
    phase = models.CharField(max_length=10, choices=Phase, default=Phase.OPEN)
    size = models.GeneratedField(
        expression=models.functions.Length("title"), output_field=models.IntegerField(), db_persist=True
    )

    class Meta:
        db_table = "support_tickets"

    class PGCraft:
        api = None
        state_field = "phase"
        transitions = {
            "open": [Transition("taken", guard=~models.Q(assignee="")), "closed"],
            "taken": ["closed", "open"],
        }
        transition_fields = {
            "minutes": models.PositiveIntegerField(null=True, blank=True),
            # A class, and not its name: what it belongs to is not ready yet.
            "helper": models.ForeignKey(User, models.DO_NOTHING, null=True, blank=True, related_name="+"),
        }

    def __str__(self) -> str:
        return self.title


class Urgent(Ticket):
    """The same, for those who cannot wait."""

    class Meta:
        proxy = True


class Errand(PGCraftStateMachine):
    """Known by a name."""

    name = models.CharField(max_length=20, primary_key=True)
    note = models.TextField(blank=True)
    state = models.TextField(default="open")

    class Meta:
        db_table = "errands"

    class PGCraft:
        api = None
        transitions = {"open": ["done"]}
