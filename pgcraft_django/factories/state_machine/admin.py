"""`StateMachineAdmin`: the state is led on by buttons, one for each transition that is open, and never typed in.

What a button asks for is done by the database's function, which also tells who comes too late. The page has the log
below. `StateMachineInline` shows rows on the page of what they belong to, without buttons.
"""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.checks import CheckMessage
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db import IntegrityError, router, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext as _

from pgcraft_django.errors import TransitionError
from pgcraft_django.factories.admin import FactoryAdmin, FormSetBase, InlineBase
from pgcraft_django.factories.state_machine.machine import extra_fields, state_field
from pgcraft_django.messages import error, source


def _save_without_state(obj: Any) -> None:
    """Save all but the state, which somebody may have led on since the row was read."""
    state = obj.state_machine.machine.field.name
    fields = [field for field in obj._meta.concrete_fields if not field.primary_key and not field.generated]
    obj.save(update_fields=[field.name for field in fields if field.name != state])


class StateMachineAdmin(FactoryAdmin):
    """The admin of a `PGCraftStateMachine`. Who may change a row may lead it on: see `has_transition_permission()`."""

    change_form_template = "pgcraft_django/state_machine/change_form.html"
    transition_template = "pgcraft_django/state_machine/transition.html"
    confirm_transitions = True
    """Whether a button leads to a page that asks for the reason and for `transition_fields`, or does it at once."""
    log_length = 100
    """How many of the latest lines of the log are shown."""

    def check(self, **options: Any) -> list[CheckMessage]:
        found: list[CheckMessage] = super().check(**options)
        field = state_field(self.opts.concrete_model or self.model)
        if field is not None and field.name in self.list_editable:
            message = f"list_editable names {field.name!r}, which is led on by buttons and not saved."
            hint = f"Remove {source(field.name)} from list_editable"
            found.append(error("E079", message, hint=hint, obj=type(self)))
        return found

    def has_transition_permission(self, request: HttpRequest, obj: Any, to: str) -> bool:
        """Tell whether the user may lead the row to the state `to`: by default, who may change it."""
        return self.has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # A row keeps its key, which Django would let people type in where it is not a number.
        keys = [field.name for field in self.opts.pk_fields if obj is not None and field.formfield() is not None]
        return [*super().get_readonly_fields(request, obj), *keys, self.model.state_machine.field.name]  # type: ignore[attr-defined]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = self.get_readonly_fields(request, obj)
        found = super().get_prepopulated_fields(request, obj)
        return {name: sources for name, sources in found.items() if name not in fixed}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            _save_without_state(obj)
        else:
            super().save_model(request, obj, form, change)

    def get_urls(self) -> Any:
        view = self.admin_site.admin_view(self.transition_view)
        return [path("<path:object_id>/transition/", view, name=self._url_name("transition")), *super().get_urls()]

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> Any:
        if obj is not None:
            context |= self._machine_context(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _machine_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        machine = obj.state_machine.machine
        extras = [
            field for field in machine.model.pgcraft_log._meta.fields if field.name in extra_fields(machine.model)
        ]
        lines = obj.state_machine.history.order_by("-step")  # with the key, an index
        if references := [item.name for item in extras if item.is_relation]:
            lines = lines.select_related(*references)
        titles = [_("Time"), _("From"), _("To"), _("By"), _("Reason")]
        return {
            "transitions": [(to, self._label(to)) for to in self._open(request, obj)],
            "transition_url": self._url("transition", quote(obj.pk)),
            "state": getattr(obj, machine.field.attname),
            "log_columns": [*titles, *(item.verbose_name for item in extras)],
            "log": [
                [
                    *(line.at, self._label(line.from_state), self._label(line.to_state), line.actor, line.reason),
                    *(self._said(line, item) for item in extras),
                ]
                for line in lines[: self.log_length]
            ],
        }

    def _said(self, line: Any, field: Any) -> Any:
        value = getattr(line, field.name)
        return value if value is None or field.is_relation else self._shown(field, value)

    def _open(self, request: HttpRequest, obj: Any) -> list[str]:
        """Return where the user may lead the row as it is now."""
        return [to for to in obj.state_machine.allowed() if self.has_transition_permission(request, obj, to)]

    def _label(self, state: str | None) -> str:
        if state is None:
            return ""
        field = self.model.state_machine.field  # type: ignore[attr-defined]
        return str(dict(field.flatchoices).get(state, state))

    def transition_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead a row on, or ask for what is to be written to its log first."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        obj = self.get_object(request, unquote(object_id))
        if not self.has_view_or_change_permission(request, obj):  # who may not, is not told which rows there are
            raise PermissionDenied
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        to, expected = (request.POST.get(name, "").replace("\0", "\ufffd") for name in ("to", "from"))
        if not self.has_transition_permission(request, obj, to):
            raise PermissionDenied
        form = self._form(request, request.POST if "confirmed" in request.POST else None)
        if self.confirm_transitions and not form.is_valid():
            return self._ask(request, obj, form, to=to, expected=expected)
        self._lead_on(request, obj, to, expected, form.cleaned_data if self.confirm_transitions else {})
        return HttpResponseRedirect(self._url("change", quote(obj.pk)))

    def _form(self, request: HttpRequest, data: Any) -> forms.Form:
        """Return the form for what the log holds beside the states."""
        log = self.model.pgcraft_log  # type: ignore[attr-defined]
        fields: dict[str, Any] = {
            "reason": forms.CharField(required=False, label=_("Reason"), widget=AdminTextInputWidget)
        }
        for name in extra_fields(self.model):
            field = self.formfield_for_dbfield(log._meta.get_field(name), request)
            if field is not None:
                field.required = False
                fields[name] = field
        form: forms.Form = type("TransitionForm", (forms.Form,), fields)(data)
        return form

    def _ask(self, request: HttpRequest, obj: Any, form: forms.Form, *, to: str, expected: str) -> HttpResponse:
        change_url = self._url("change", quote(obj.pk))
        context = {
            **self._page(request, _("Are you sure?"), (str(obj), change_url), (self._label(to), "")),
            "object": obj,
            "change_url": change_url,
            "form": form,
            "to": to,
            "to_label": self._label(to),
            "from": expected,
            "from_label": self._label(expected),
            "media": self.media + form.media,
        }
        return TemplateResponse(request, self.transition_template, context)

    def _lead_on(self, request: HttpRequest, obj: Any, to: str, expected: str, said: dict[str, Any]) -> None:
        """Make the step from the state that the user saw, and say how it went."""
        setattr(obj, obj.state_machine.machine.field.attname, expected)
        said = {name: value for name, value in said.items() if value not in (None, "")}
        try:
            with transaction.atomic(using=router.db_for_write(self.model, instance=obj)):
                obj.state_machine.transition(to, **said)
                self.log_change(request, obj, f"{self._label(expected)} → {self._label(to)}")
        except ObjectDoesNotExist as refused:
            self.message_user(request, str(refused), messages.ERROR)
        except (TransitionError, IntegrityError) as refused:
            self.message_user(request, str(refused).partition("\n")[0], messages.ERROR)
        else:
            message = _("The state is now %(state)s.") % {"state": self._label(to)}
            self.message_user(request, message, messages.SUCCESS)


class _Rows(FormSetBase):
    def save_existing(self, form: Any, obj: Any, commit: bool = True) -> Any:
        changed = form.save(commit=False)
        if commit:
            _save_without_state(changed)
            form.save_m2m()
        return changed


class StateMachineInline(InlineBase):
    """The rows of a `PGCraftStateMachine` on the page of an object that they refer to, each with its state to read.

    The buttons are on the row's own page, to which a link leads if the model is registered.
    """

    formset = _Rows
    show_change_link = True

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*super().get_readonly_fields(request, obj), self.model.state_machine.field.name]  # type: ignore[attr-defined]
