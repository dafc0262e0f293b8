"""`LedgerAdmin` and `LedgerInline`: entries and balances, to read.

Who books does it by the application, which knows what is booked.
"""

from typing import Any

from django.http import HttpRequest

from pgcraft_django.factories.admin import AnyAdmin, FactoryAdmin, FormSetBase, InlineBase, named
from pgcraft_django.factories.ledger.shape import balances_of
from pgcraft_django.factories.ledger.writing import LedgerQuerySet


class _ToRead(AnyAdmin):
    """Shows all there is, and offers nothing that PostgreSQL would refuse."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Django leaves out what is not editable, and here that is the number and the time of an entry.
        names = [field.name for field in self.opts.concrete_fields]
        return list(dict.fromkeys([*names, *super().get_readonly_fields(request, obj)]))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LedgerAdmin(_ToRead, FactoryAdmin):
    """The admin of a `PGCraftLedger`. The list of entries has the balances below.

    They are those of the entries that `get_queryset()` returns. If that is not all of them, they are added up.
    """

    change_list_template = "pgcraft_django/ledger/change_list.html"
    ordering = ("-id",)
    balances_length = 100
    """How many groups are shown of each balance."""

    def get_list_display(self, request: HttpRequest) -> Any:
        if tuple(self.list_display) != ("__str__",):
            return super().get_list_display(request)
        return [field.name for field in self.opts.concrete_fields if field.name != "entry_id"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        answer = super().changelist_view(request, extra_context)
        context = getattr(answer, "context_data", None) or {}  # it may be a redirection
        if "cl" in context and not context["cl"].is_popup:
            context["balances"] = list(self._balances(request))
        return answer

    def _balances(self, request: HttpRequest) -> Any:
        rows: Any = self.get_queryset(request)
        entries = LedgerQuerySet(self.model, using=rows.db)
        if LedgerQuerySet(self.model, rows.query, rows.db)._is_restricted():
            entries = entries.filter(pk__in=rows.order_by().values("pk"))  # each once, whatever else was asked for
        for companion in balances_of(self.model).values():
            names = [*companion.pgcraft_dimensions, "balance"]
            fields = [companion._meta.get_field(name) for name in names]
            lines = list(entries.balances(*names[:-1])[: self.balances_length])
            yield {
                "title": companion._meta.verbose_name_plural,
                "columns": [field.verbose_name for field in fields],
                "rows": zip(
                    *(self._column(field, [line[field.name] for line in lines]) for field in fields), strict=True
                ),
            }

    def _column(self, field: Any, values: list[Any]) -> list[Any]:
        """Return how the values of one field are shown; NULL is one of them."""
        if field.is_relation:
            names = named(field, values)
            return [None if value is None else names.get(value, str(value)) for value in values]
        return [None if value is None else self._shown(field, value) for value in values]


class _Latest(FormSetBase):
    """The first rows as they are now. What comes back with the page's form is not looked at."""

    length: int

    def __init__(self, data: Any = None, files: Any = None, **options: Any) -> None:
        super().__init__(**options)

    def is_valid(self) -> bool:
        return True

    def get_queryset(self) -> Any:
        if not hasattr(self, "_queryset"):  # where Django keeps the rows
            self._queryset = super().get_queryset()[: self.length]
        return self._queryset


class LedgerInline(_ToRead, InlineBase):
    """The entries of a `PGCraftLedger`, or its balances, on the page of an object that they refer to."""

    formset = _Latest
    ordering = ("-id",)
    length = 100
    """How many are shown. Each is a part of the page's form, and Django takes no form of any size."""

    def get_formset(self, request: HttpRequest, obj: Any = None, **options: Any) -> Any:
        found: Any = super().get_formset(request, obj, **options)
        found.length = self.length
        return found

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        names = [field.name for field in self.opts.concrete_fields if field.name not in ("id", "entry_id")]
        return self.fields or [*names, *self.readonly_fields]
