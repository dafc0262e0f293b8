"""`EAVAdmin`: a page with each change of each attribute of a row."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from pgcraft_django.columns import column_name
from pgcraft_django.factories.admin import FactoryAdmin, Names, shortened
from pgcraft_django.factories.eav.document import EXTRA


class EAVAdmin(FactoryAdmin):
    """The admin of a `PGCraftEAV`. Who may see a row sees what has changed in it, of what its page shows."""

    change_form_template = "pgcraft_django/eav/change_form.html"
    changes_template = "pgcraft_django/eav/changes.html"

    def get_urls(self) -> Any:
        view = self.admin_site.admin_view(self.changes_view)
        return [path("<path:object_id>/changes/", view, name=self._url_name("changes")), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> Any:
        obj = options.get("obj")
        if obj is not None:
            context["changes_url"] = self._url("changes", quote(obj.pk))
        return super().render_change_form(request, context, *args, **options)

    def changes_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the changes of a row's attributes, newest first."""
        obj: Any = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        page = Paginator(self._changes(request, obj), self.list_per_page).get_page(request.GET.get("p"))
        context = {
            **self._page(
                request,
                _("Changes: %s") % obj,
                (str(obj), self._url("change", quote(obj.pk))),
                (_("Changes"), ""),
            ),
            "page": page,
            "lines": self._lines(page.object_list),
        }
        return TemplateResponse(request, self.changes_template, context)

    def _changes(self, request: HttpRequest, obj: Any) -> Any:
        """Return the changes of what the page of the row shows, newest first."""
        names = self._hidden(request, obj)
        hidden = [column for column, field in self._columns().items() if field.name in names]
        changes = obj.history.exclude(attribute__in=hidden)
        if EXTRA in names:  # the log has a line for each attribute in it
            changes = changes.exclude(attribute__startswith=f"{EXTRA}.")
        return changes.order_by("-step")  # with the key, an index

    def _lines(self, changes: Iterable[Any]) -> list[dict[str, Any]]:
        """Return changes, with what is shown of them. An attribute may be gone by now, or be of another type."""
        columns = self._columns()
        found = [(change, field := columns.get(change.attribute), self._values(change, field)) for change in changes]
        names = self._names((field.name, values) for _, field, values in found if field is not None and values)
        return [self._line(change, field, values, names) for change, field, values in found]

    @staticmethod
    def _values(change: Any, field: Any) -> list[Any] | None:
        """Return the values before and after, or None if they are none of the field."""
        if field is not None:
            with suppress(ValidationError, ValueError, TypeError):
                return [field.to_python(value) for value in (change.old_value, change.new_value)]
        return None

    def _line(self, change: Any, field: Any, values: list[Any] | None, names: Names) -> dict[str, Any]:
        shown = ["-" if value is None else str(value) for value in (change.old_value, change.new_value)]
        label = change.attribute if field is None else str(capfirst(field.verbose_name))
        if values is not None:
            with suppress(ValidationError, ValueError, TypeError):
                shown = [self._shown(field, value, names) for value in values]
        return {"change": change, "label": label, "shown": [shortened(text, 40) for text in shown]}

    def _columns(self) -> dict[str, Any]:
        """Return column, which an attribute is called in the log, -> field."""
        return {column_name(field): field for field in self.opts.concrete_fields}
