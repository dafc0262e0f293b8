"""What the admin offers to do with ledgers: where PostgreSQL refuses it, Django has no message but an error 500."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.apps import apps as global_apps
from django.core.checks import CheckMessage
from django.utils.text import get_text_list

from pgcraft_django.factories.ledger.shape import is_double_entry, is_idempotent
from pgcraft_django.messages import of_apps, warning
from pgcraft_django.plugins.base import get_plugins

ADD, CHANGE, DELETE = "add", "change", "delete"
DJANGO = "django.contrib.admin.options"


def check_admin(*, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Return what the admin classes of ledgers offer that PostgreSQL refuses."""
    if not global_apps.is_installed("django.contrib.admin"):
        return []
    from django.contrib.admin.sites import all_sites

    sites = sorted(all_sites, key=lambda site: str(site.name))
    return of_apps((message for site in sites for message in check_site(site)), app_configs)


def check_site(site: Any) -> Iterator[CheckMessage]:
    """Yield what is wrong with the admin classes of one `AdminSite`, their inlines included."""
    for model, page in site._registry.items():
        inlines = page.inlines if isinstance(page.inlines, list | tuple) else ()
        shown = [(inline, getattr(inline, "model", None), model) for inline in inlines]
        concerned = [item for item in [(type(page), model, None), *shown] if _refused(item[1])]
        if concerned and not page.check():  # otherwise Django says what is wrong
            for page_class, of_ledger, parent in concerned:
                yield from _check_page(page_class, of_ledger, parent)


def _check_page(page: Any, model: Any, parent: Any) -> Iterator[CheckMessage]:
    """Yield what a class offers that shows `model`, as an inline if that is on the page of a `parent`."""
    found = [what for what in _refused(model) if _is_offered(what, page, parent)]
    if found:
        face = "LedgerInline" if parent else "LedgerAdmin"
        is_own = page.__module__ != DJANGO
        line = f"class {page.__name__}({face})" if is_own else f"admin.site.register({model.__name__}, {face})"
        methods = get_text_list([f"has_{what}_permission()" for what in found], "and")
        yield warning(
            "W092",
            f"{page.__name__} offers to {get_text_list(found, 'and')}: PostgreSQL refuses what breaks a rule of the "
            "ledger, and Django answers with an error 500.",
            hint=f"Write {line}, with {face} from pgcraft_django.admin, or let {methods} return False",
            obj=model,
        )


def _refused(model: Any) -> list[str]:
    """Return what PostgreSQL refuses to do with rows of the model, all of them or some."""
    if hasattr(model, "pgcraft_dimensions"):  # of balances
        return [ADD, CHANGE, DELETE]
    if not hasattr(model, "pgcraft_factory"):
        return []
    from pgcraft_django.factories.ledger.model import is_ledger

    if not is_ledger(model):
        return []
    has_rules = is_double_entry(model) or is_idempotent(model)
    has_rules |= any(getattr(plugin, "minimum", None) is not None for plugin in get_plugins(model))
    return [*([ADD] if has_rules else []), CHANGE, DELETE]


def _is_offered(what: str, page: Any, parent: Any) -> bool:
    """Tell whether the class leaves it to Django's permissions, of which a superuser has all, and to nothing else."""
    if getattr(page, f"has_{what}_permission").__module__ != DJANGO:
        return False
    if parent is None:
        return True
    if what == CHANGE:
        return page.get_readonly_fields.__module__ == DJANGO and _has_inputs(page, parent)
    return bool(page.can_delete if what == DELETE else page.max_num != 0)


def _has_inputs(inline: Any, parent: Any) -> bool:
    from django.contrib.admin.utils import flatten_fieldsets

    shown = flatten_fieldsets(inline.fieldsets) if inline.fieldsets else inline.fields
    closed = {*inline.readonly_fields, *(inline.exclude or ())}
    return any(
        field.editable and not field.primary_key and field.name not in closed and (not shown or field.name in shown)
        for field in inline.model._meta.concrete_fields
        if field.related_model is not parent
    )
