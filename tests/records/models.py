"""Documents, and what they are about."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Length

from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV


class Document(PGCraftAppendOnly):
    """A document, perhaps a part of another one."""

    class Kind(models.TextChoices):
        """What it is."""

        LETTER = "letter", "A letter"
        BILL = "bill", "A bill"

    title = models.CharField(max_length=200)
    kind = models.CharField("sort", max_length=10, choices=Kind, default=Kind.LETTER)
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="parts")
    due = models.DateField(null=True, blank=True)
    tags = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    is_signed = models.BooleanField(default=False)
    secret = models.TextField(blank=True, default="")
    size = models.GeneratedField(expression=Length("title"), output_field=models.IntegerField(), db_persist=True)

    class Meta:
        db_table = "documents"

    class PGCraft:
        api = None

    def __str__(self) -> str:
        return self.title


class Page(PGCraftAppendOnly):
    """Known by what it is a page of, and its number."""

    pk = models.CompositePrimaryKey("document", "number")
    document = models.ForeignKey(Document, models.CASCADE, related_name="pages")
    number = models.IntegerField()
    text = models.TextField(blank=True)

    class Meta:
        db_table = "pages"

    class PGCraft:
        api = None


class Item(PGCraftEAV):
    """Something with attributes."""

    name = models.CharField(max_length=50, unique=True)
    price = models.DecimalField("what it costs", max_digits=8, decimal_places=2, null=True, blank=True)
    document = models.ForeignKey(Document, models.SET_NULL, null=True, blank=True, related_name="items")

    class Meta:
        db_table = "items"

    class PGCraft:
        api = None

    def __str__(self) -> str:
        return self.name


class Letter(Document):
    """A document, for those who write letters."""

    class Meta:
        proxy = True
