"""What the admin classes of the factories share."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from django.contrib import admin
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.utils import display_for_field, flatten_fieldsets
from django.db import IntegrityError
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext as _

from pgcraft_django.diagnosis import FOREIGN_KEY_VIOLATION, UNIQUE_VIOLATION, server_message, sqlstate

if TYPE_CHECKING:
    from django.db import models
    from django.forms import ModelForm

    Base: TypeAlias = admin.ModelAdmin[models.Model]
    AnyAdmin: TypeAlias = BaseModelAdmin[models.Model]
    InlineBase: TypeAlias = admin.TabularInline[models.Model, models.Model]
    FormSetBase: TypeAlias = BaseInlineFormSet[models.Model, models.Model, ModelForm[models.Model]]
else:
    Base = admin.ModelAdmin
    AnyAdmin = BaseModelAdmin
    InlineBase = admin.TabularInline
    FormSetBase = BaseInlineFormSet


Names = Mapping[str, Mapping[Any, str]]
"""Foreign key -> value -> name of the row that it refers to, if that is there."""


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

    def _hidden(self, request: HttpRequest, obj: Any) -> set[str]:
        """Return the fields that are not on the page of a row: they are shown nowhere else, either."""
        page = flatten_fieldsets(self.get_fieldsets(request, obj))
        return {field.name for field in self.opts.concrete_fields if field.name not in page}

    def _names(self, found: Iterable[tuple[str, Iterable[Any]]]) -> Names:
        """Return the names for pairs of a field and values, by one query for each foreign key."""
        values: dict[str, set[Any]] = {}
        for name, some in found:
            if self.opts.get_field(name).is_relation:
                values.setdefault(name, set()).update(some)
        return {name: named(self.opts.get_field(name), keys - {None}) for name, keys in values.items()}

    def _shown(self, field: Any, value: Any, names: Names | None = None) -> str:
        """Return how a value of the field is shown, which may be one of old: as in the lists of the admin.

        `names` are what `_names()` has found for it and others; without them, it is asked for here.
        """
        empty = str(self.get_empty_value_display())
        if value is None:
            return empty
        if field.is_relation:
            return (named(field, [value]) if names is None else names[field.name]).get(value, str(value))
        if field.flatchoices and not isinstance(value, list):
            return str(dict(field.flatchoices).get(value, value))
        return str(display_for_field(value, field, empty, avoid_link=True))


def named(field: Any, keys: Iterable[Any]) -> dict[Any, str]:
    """Return key -> name of the rows that a foreign key refers to by `keys`, as far as they are there."""
    key = field.target_field.attname
    rows = field.remote_field.model._base_manager.filter(**{f"{key}__in": set(keys)})
    return {getattr(row, key): str(row) for row in rows}


def refusal(error: IntegrityError) -> str:
    """Return what the server said, and which key it is about. Of other rules it would tell the whole row."""
    detail = getattr(getattr(error.__cause__, "diag", None), "message_detail", None)
    is_about_a_key = detail and sqlstate(error) in (UNIQUE_VIOLATION, FOREIGN_KEY_VIOLATION)
    return f"{server_message(error)}. {detail}" if is_about_a_key else server_message(error)


def shortened(text: str, length: int) -> str:
    """Return the text, cut where it is too long. What is HTML already, such as an icon, stays whole."""
    return text if isinstance(text, SafeString) else Truncator(text).chars(length)
