"""Pages of the admin: who asks for them, and what a browser fills in."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import models
from django.test import Client
from django.urls import path
from pytest_django import Settings


def client_of(name: str, *permissions: str, superuser: bool = False) -> Client:
    """Return the browser of a new member of the staff, who is logged in and has these permissions."""
    user = get_user_model().objects.create_user(name, is_staff=True, is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def serve(settings: Settings, pages: dict[type[models.Model], Any]) -> None:
    """Let the admin be one with other pages than those that are registered: model -> `ModelAdmin`."""
    own = AdminSite()
    for model, page in pages.items():
        own.register(model, page)
    settings.ROOT_URLCONF = (path("admin/", own.urls),)


def filled_in(page: Any) -> dict[str, Any]:
    """Return name -> value of what is in the form of the page, its inlines included."""
    formsets = [inline.formset for inline in page.context["inline_admin_formsets"]]
    forms = [page.context["adminform"].form]
    forms += [form for formset in formsets for form in (formset.management_form, *formset.forms)]
    values = {field.html_name: field.value() for form in forms for field in form}
    return {name: value for name, value in values.items() if value is not None and value is not False}


def errors(page: Any) -> list[str]:
    """Return what the page says is wrong, in the order of the fields."""
    assert page.status_code == 200, page.status_code
    return [str(message) for group in page.context["errors"] for message in group]
