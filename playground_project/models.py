"""The playground's models, one of each kind. Change them, then: `just revision "what changed"`, `just migrate`."""

from django.db import models

from pgcraft_django.api import API
from pgcraft_django.models import (
    PGCraftAppendOnly,
    PGCraftEAV,
    PGCraftLedger,
    PGCraftLogin,
    PGCraftSimple,
    PGCraftStateMachine,
)
from pgcraft_django.plugins import Balance

GRANTS = {"anon": ["select"], "webuser": "all"}
READ = {"anon": ["select"], "webuser": ["select"]}


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


class Student(PGCraftAppendOnly):
    """Somebody who learns, with or without an account. Nothing about them is ever overwritten."""

    name = models.TextField()
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="students")

    class Meta:
        db_table = "students"

    class PGCraft:
        api = API(exclude=["version", "valid_from"], grants=GRANTS)
        history_api = API(grants=READ)

    def __str__(self) -> str:
        return self.name


class Product(PGCraftEAV):
    """Something in the shop. Another attribute is a line here, and no ALTER TABLE."""

    name = models.TextField()
    color = models.TextField(null=True, blank=True)
    weight = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True, help_text="Kilograms.")

    class Meta:
        db_table = "products"

    class PGCraft:
        api = API(grants=GRANTS)

    def __str__(self) -> str:
        return self.name


class Inventory(PGCraftLedger):
    """What comes and goes. No warehouse gives away what it has not."""

    warehouse = models.TextField()
    sku = models.TextField()

    class Meta:
        db_table = "inventory"
        verbose_name_plural = "inventory"

    class PGCraft:
        api = API(grants={"anon": ["select"], "webuser": ["select", "insert"]})
        plugins = [Balance(dimensions=["warehouse", "sku"], minimum=0, api=API(grants=READ))]
        record_grants = ["webuser"]


class Order(PGCraftStateMachine):
    """What somebody wants. It goes from state to state as declared, and each step is in its log."""

    class State(models.TextChoices):
        PENDING = "pending"
        CONFIRMED = "confirmed"
        SHIPPED = "shipped"
        CANCELLED = "cancelled"

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="orders")
    state = models.TextField(choices=State.choices, default=State.PENDING)

    class Meta:
        db_table = "orders"

    class PGCraft:
        api = API(grants={"anon": ["select"], "webuser": ["select", "insert", "update"]})
        transitions = {"pending": ["confirmed", "cancelled"], "confirmed": ["shipped", "cancelled"]}
        transition_api = API(grants=READ)
        transition_grants = {"webuser": "all"}

    def __str__(self) -> str:
        return f"{self.user}: {self.state}"


class Login(PGCraftLogin):
    """Who got tokens by logging in to Django, and until when. Not in the API."""

    class Meta:
        db_table = "logins"
