"""What the admin classes of the factories share."""

from typing import TYPE_CHECKING, Any, TypeAlias

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

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

    def _page(self, request: HttpRequest, title: str, *crumbs: tuple[str, str]) -> dict[str, Any]:
        """Return what each page's template needs. `crumbs` lead to it: label and URL, which the page itself has not."""
        site = self.admin_site.name
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "crumbs": [
                (_("Home"), reverse(f"{site}:index")),
                (self.opts.app_config.verbose_name, reverse(f"{site}:app_list", args=[self.opts.app_label])),
                (capfirst(self.opts.verbose_name_plural), self._url("changelist")),
                *crumbs,
            ],
        }
