"""The admin of the gold."""

from django.contrib import admin

from pgcraft_django.admin import LedgerAdmin
from tests.vault.models import Gold, Ounce

admin.site.register([Gold, Ounce], LedgerAdmin)
