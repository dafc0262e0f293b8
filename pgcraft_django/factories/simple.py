"""PGCraftSimple: one table in the private schema, one view per API."""

from pgcraft_django.factories.base import PGCraftModel


class PGCraftSimple(PGCraftModel):
    """A plain table: the ORM treats it as any other, PostgreSQL keeps it in the private schema."""

    class Meta(PGCraftModel.Meta):
        abstract = True
