"""`AppendOnlyAdmin`: a page with the versions of each row, to compare and to restore, of deleted rows too."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import IntegrityError, connections, router, transaction
from django.db.models.expressions import Col
from django.db.models.lookups import Exact
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from pgcraft_django.attribution.context import history_context
from pgcraft_django.factories.admin import FactoryAdmin, Names, refusal, shortened
from pgcraft_django.factories.append_only.queries import former_rows

NOW = "now"
"""What stands for the row as it is, among versions to compare."""


class AppendOnlyAdmin(FactoryAdmin):
    """The admin of a `PGCraftAppendOnly`. Who may see a row sees its versions, also if it is deleted.

    Who may change it may restore one; of a row that is deleted, who may add one. `get_queryset()` says which rows there
    are, deleted ones included. Only what the page of the row shows is shown, `readonly_fields` included.
    """

    change_form_template = "pgcraft_django/append_only/change_form.html"
    change_list_template = "pgcraft_django/append_only/change_list.html"
    versions_template = "pgcraft_django/append_only/versions.html"
    restore_template = "pgcraft_django/append_only/restore.html"
    deleted_template = "pgcraft_django/append_only/deleted.html"

    def has_restore_permission(self, request: HttpRequest, obj: Any) -> bool:
        """Tell whether the user may restore a version of `obj`, None if the row is deleted."""
        return self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)

    def get_urls(self) -> Any:
        view = self.admin_site.admin_view
        return [
            path("deleted/", view(self.deleted_view), name=self._url_name("deleted")),
            path("<path:object_id>/versions/", view(self.versions_view), name=self._url_name("versions")),
            path(
                "<path:object_id>/versions/<int:history_id>/restore/",
                view(self.restore_view),
                name=self._url_name("restore"),
            ),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> Any:
        obj = options.get("obj")
        if obj is not None:
            context["versions_url"] = self._url("versions", quote(obj.pk))
        return super().render_change_form(request, context, *args, **options)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().changelist_view(request, {"deleted_url": self._url("deleted"), **(extra_context or {})})

    # -- The versions of a row -------------------------------------------------------------------------------------

    def versions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the versions of a row, newest first, and in what two of them differ."""
        obj, former, versions = self._row(request, object_id)
        page = Paginator(versions, self.list_per_page).get_page(request.GET.get("p"))
        hidden = self._hidden(request, former)
        compared = self._compared(request, obj, versions, hidden)
        context = {
            **self._context(request, obj, former, object_id, (_("Versions"), "")),
            "page": page,
            "lines": self._lines(page.object_list, hidden),
            "now": NOW if obj is not None else "",
            "current": obj,
            "chosen": (request.GET.get("a", ""), request.GET.get("b", "")),
            "compared": compared,
            "may_restore": self.has_restore_permission(request, obj),
        }
        return TemplateResponse(request, self.versions_template, context)

    def _row(self, request: HttpRequest, object_id: str) -> tuple[Any, Any, Any]:
        """Return the row, None if it is deleted, then as it is or was last, and its versions, newest first.

        Raises `Http404` if there is and was none, and `PermissionDenied` if the user may not see it.
        """
        model: Any = self.model
        try:
            key = model._meta.pk.to_python(unquote(object_id))
        except ValidationError as error:
            raise Http404 from error
        obj = self.get_object(request, unquote(object_id))
        former = obj or self._deleted(request).filter(pk=key).first()
        if not self.has_view_permission(request, former):
            raise PermissionDenied
        if former is None:
            raise Http404(_("There was never such an object."))
        versions = model.history.using(self._database).filter(**{model._meta.pk.name: key}).order_by("-version")
        return obj, former, versions

    def _deleted(self, request: HttpRequest) -> Any:
        return former_rows(self.get_queryset(request).using(self._database), None)

    @property
    def _database(self) -> str:
        return router.db_for_write(self.model)

    def _lines(self, versions: Iterable[Any], hidden: set[str]) -> list[dict[str, Any]]:
        """Return what is shown of versions that follow each other, newest first."""
        found, following = [], None
        for version in versions:
            found.append((version, version.diff(following) if version.operation == "update" else {}))
            following = version
        names = self._names(item for _, changes in found for item in changes.items() if item[0] not in hidden)
        return [self._line(version, self._differences(changes, hidden, names)) for version, changes in found]

    def _line(self, version: Any, changes: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
        return {
            "version": version,
            "changes": [(label, shortened(before, 60), shortened(after, 60)) for label, before, after in changes],
            "restore_url": self._url("restore", quote(self._key(version)), version.history_id),
        }

    def _key(self, version: Any) -> Any:
        return getattr(version, self.opts.pk.attname)

    def _differences(
        self,
        values: Mapping[str, tuple[Any, Any]],
        hidden: set[str],
        names: Names | None = None,
    ) -> list[tuple[str, str, str]]:
        """Return the label of each field that differs, with both values."""
        found = []
        for name, pair in values.items():
            if name not in hidden:
                field: Any = self.opts.get_field(name)
                one, other = (self._shown(field, value, names) for value in pair)
                found.append((capfirst(field.verbose_name), one, other))
        return found

    def _compared(self, request: HttpRequest, obj: Any, versions: Any, hidden: set[str]) -> Any:
        """Return in what the two versions that are asked for differ; None if none are."""
        found = [self._chosen(request.GET.get(name), obj, versions) for name in ("a", "b")]
        one, other = found
        if one is None or other is None or (one is obj and other is obj):
            return None
        if one is obj:  # a version is compared with the row, and not the other way round
            return [(label, here, there) for label, there, here in self._differences(other.diff(one), hidden)]
        return self._differences(one.diff(other), hidden)

    @staticmethod
    def _chosen(text: str | None, obj: Any, versions: Any) -> Any:
        if text == NOW:
            return obj
        return versions.filter(history_id=int(text)).first() if text and text.isdecimal() and len(text) < 19 else None

    def _context(
        self, request: HttpRequest, obj: Any, former: Any, object_id: str, *crumbs: tuple[str, str]
    ) -> dict[str, Any]:
        name = str(former)
        above = (name, self._url("change", object_id)) if obj is not None else (_("Deleted"), self._url("deleted"))
        return {
            **self._page(request, _("Versions: %s") % name, above, *crumbs),
            "object_name": name,
            "versions_url": self._url("versions", object_id),
        }

    # -- Restoring -------------------------------------------------------------------------------------------------

    def restore_view(self, request: HttpRequest, object_id: str, history_id: int) -> HttpResponse:
        """Make a row as it was in a version, after asking."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        obj, former, versions = self._row(request, object_id)
        if not self.has_restore_permission(request, obj):
            raise PermissionDenied
        version = versions.filter(history_id=history_id).first()
        if version is None:
            raise Http404
        if "confirmed" not in request.POST:
            versions_url = self._url("versions", object_id)
            context = {
                **self._context(request, obj, former, object_id, (_("Versions"), versions_url), (_("Restore"), "")),
                "version": version,
                "changes": self._differences(version.diff(obj or self._nothing()), self._hidden(request, former)),
            }
            return TemplateResponse(request, self.restore_template, context)
        return self._restore(request, version, request.POST.get("reason", "").replace("\0", "") or None)

    def _nothing(self) -> Any:
        """Return what a version of a deleted row is compared with."""
        return self.model(**{field.attname: None for field in self.opts.concrete_fields if not field.generated})

    def _restore(self, request: HttpRequest, version: Any, reason: str | None) -> HttpResponse:
        number = version.version
        try:
            with transaction.atomic(using=self._database), history_context(reason=reason):
                version.restore()
                obj = self.model._base_manager.using(self._database).get(pk=self._key(version))  # perhaps of a proxy
                connections[self._database].check_constraints()  # foreign keys wait for the end of the transaction
                self.log_change(request, obj, _("Restored version %(number)s.") % {"number": number})
        except IntegrityError as refused:
            self.message_user(request, refusal(refused), messages.ERROR)
        else:
            message = _("Version %(number)s is restored.") % {"number": number}
            self.message_user(request, message, messages.SUCCESS)
        return HttpResponseRedirect(self._url("versions", quote(self._key(version))))

    # -- Deleted rows ----------------------------------------------------------------------------------------------

    def deleted_view(self, request: HttpRequest) -> HttpResponse:
        """List the rows that are deleted, each as it was last: what was deleted last comes first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = self.opts.pk.name
        versions: Any = self.model.history.using(self._database)  # type: ignore[attr-defined]
        rows = self._deleted(request)
        ended, operation = (
            Col(rows.query.get_initial_alias(), versions.model._meta.get_field(name))
            for name in ("valid_to", "operation")
        )
        rows = rows.filter(Exact(operation, "delete")).order_by(ended.desc(), "pk")
        page = Paginator(rows, self.list_per_page).get_page(request.GET.get("p"))
        shown = [row for row in page.object_list if self.has_view_permission(request, row)]
        last = versions.filter(**{f"{key}__in": [row.pk for row in shown]}).order_by(key, "-version").distinct(key)
        last = {self._key(version): version for version in last}
        context = {
            **self._page(request, _("Deleted %s") % self.opts.verbose_name_plural, (_("Deleted"), "")),
            "page": page,
            "lines": [
                {"name": str(row), "version": last[row.pk], "url": self._url("versions", quote(row.pk))}
                for row in shown
            ],
        }
        return TemplateResponse(request, self.deleted_template, context)
