"""Documents and items in the admin."""

from django.contrib import admin

from pgcraft_django.admin import AppendOnlyAdmin, EAVAdmin
from tests.records.models import Document, Item, Letter


@admin.register(Document)
class DocumentAdmin(AppendOnlyAdmin):
    """With few versions on a page, some documents that are hidden, and a field that is."""

    list_per_page = 3
    exclude = ["secret"]

    def get_queryset(self, request):  # type: ignore[no-untyped-def]
        return super().get_queryset(request).exclude(title="hidden")


admin.site.register(Item, EAVAdmin)
admin.site.register(Letter, AppendOnlyAdmin)
