"""`EAVAdmin`: a page with each change of each attribute of a row."""

from typing import Any

from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from pgcraft_django.factories.admin import FactoryAdmin


class EAVAdmin(FactoryAdmin):
    """The admin of a `PGCraftEAV`. Who may see a row sees what has changed in it."""

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
        page = Paginator(obj.history.order_by("-log_id"), self.list_per_page).get_page(request.GET.get("p"))
        context = {
            **self._page(
                request,
                _("Changes: %s") % obj,
                (str(obj), self._url("change", quote(obj.pk))),
                (_("Changes"), ""),
            ),
            "page": page,
            "lines": [(self._label(line.attribute), line) for line in page.object_list],
        }
        return TemplateResponse(request, self.changes_template, context)

    def _label(self, attribute: str) -> str:
        """Return what the attribute is called, which may be gone by now."""
        try:
            field: Any = self.opts.get_field(attribute)
        except FieldDoesNotExist:
            return attribute
        return str(capfirst(field.verbose_name))
