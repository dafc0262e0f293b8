"""Documents and items in the admin."""

from django.contrib import admin

from pgcraft_django.admin import AppendOnlyAdmin, EAVAdmin
from tests.records.models import Document, Item


@admin.register(Document)
class DocumentAdmin(AppendOnlyAdmin):
    """With few versions on a page, and some documents that are hidden."""

    list_per_page = 3

    def get_queryset(self, request):  # type: ignore[no-untyped-def]
        return super().get_queryset(request).exclude(title="hidden")


admin.site.register(Item, EAVAdmin)
