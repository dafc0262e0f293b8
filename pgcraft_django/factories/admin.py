"""What the admin classes of the factories share."""

from typing import TYPE_CHECKING, TypeAlias

from django.contrib import admin
from django.urls import reverse

if TYPE_CHECKING:
    from django.db import models

    Base: TypeAlias = admin.ModelAdmin[models.Model]
else:
    Base = admin.ModelAdmin


class FactoryAdmin(Base):
    """A `ModelAdmin` with pages of its own, beside those that Django names."""

    def _url_name(self, action: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{action}"

    def _url(self, action: str, *arguments: object) -> str:
        return reverse(f"{self.admin_site.name}:{self._url_name(action)}", args=arguments)
