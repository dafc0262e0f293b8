"""What a ledger's declaration means, read once for all who need it. What is wrong with it is left to the checks."""

from decimal import Context, Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now

from pgcraft_django.columns import AnyField, column_name
from pgcraft_django.factories.base import constant_default
from pgcraft_django.naming import quote_name, shorten
from pgcraft_django.plugins.base import get_plugins, option

OWN = ("id", "entry_id", "created_at", "value")
"""Fields that every ledger has."""
OF_BALANCES = ("balance", "through")
"""Fields that the tables of balances have beside the dimensions."""
DIRECTION = "direction"
KEY = "idempotency_key"
INTERVALS = {"day": "1 day", "week": "7 days", "month": "1 month", "quarter": "3 months", "year": "1 year"}
"""What `partition_by` may say, and how PostgreSQL says it."""
DEBIT, CREDIT = "debit", "credit"
EXACTLY = Context(prec=2000)
"""For arithmetic with every number that PostgreSQL holds: otherwise Decimal rounds to 28 digits, even for a sign."""


def is_double_entry(model: type[models.Model]) -> bool:
    """Tell whether entries have legs of two directions."""
    return any(getattr(plugin, "is_double_entry", False) for plugin in get_plugins(model))


def is_idempotent(model: type[models.Model]) -> bool:
    """Tell whether entries can have a key that makes a repetition harmless."""
    return option(model, "idempotency") is True


def partition_interval(model: type[models.Model]) -> str | None:
    """Return the time that a partition of the ledger is for, or None if it has none."""
    interval = option(model, "partition_by")
    return interval if isinstance(interval, str) and interval in INTERVALS else None


def value_field(model: type[models.Model]) -> AnyField:
    """Return the field of what an entry adds."""
    return model._meta.get_field("value")  # type: ignore[return-value]


def written_fields(model: type[models.Model]) -> list[AnyField]:
    """Return the fields that whoever records an entry gives, in the order of the model; not `entry_id` and the key."""
    left_out = {"id", "entry_id", "created_at", KEY}
    return [field for field in model._meta.local_concrete_fields if field.name not in left_out and not field.generated]


def is_computed(field: AnyField) -> bool:
    """Tell whether an entry that comes without the field gets a value that is made anew, and not a constant."""
    if field.has_db_default():
        return hasattr(field.db_default, "resolve_expression") and not isinstance(field.db_default, models.Value)
    # NOT_PROVIDED is a class, and so callable, too.
    return field.has_default() and callable(field.default) and constant_default(field) is models.NOT_PROVIDED


def is_time_of_statement(field: AnyField) -> bool:
    """Tell whether such a value is the time of the statement, or a fixed interval before or after it.

    Whoever gives a value of their own gives another one.
    """
    if not (is_computed(field) and isinstance(field, models.DateTimeField) and field.has_db_default()):
        return False
    default: Any = field.db_default
    called = [part for part in default.flatten() if isinstance(part, models.Func)]
    return bool(called) and all(type(part) is Now for part in called)


def bound_of(value: AnyField) -> Decimal | None:
    """Return a number that is above every value of a decimal field, but not above NaN: PostgreSQL sorts that last."""
    if isinstance(value, models.DecimalField) and value.max_digits is not None and value.decimal_places is not None:
        return Decimal(10) ** (value.max_digits - value.decimal_places)
    return None


def as_amount(model: type[models.Model], value: Any) -> Any:
    """Return a number as the ledger holds it, exactly. Raises `ValueError` if it is none, or would be rounded."""
    field = value_field(model)
    places = field.decimal_places if isinstance(field, models.DecimalField) else 0
    step = Decimal(1).scaleb(-places)
    wrong = f"{value} is no amount of {model._meta.label}, which has {places} decimal places."
    try:
        if isinstance(value, float):
            # As it is written, or the digits that count: of 0.1 + 0.2 not the last.
            read = Decimal(str(float(value))), Decimal(f"{value:.15g}")
            number = next((number for number in read if number.quantize(step, context=EXACTLY) == number), read[0])
        else:
            number = value if isinstance(value, Decimal) else Decimal(field.to_python(value))
        exact = number.quantize(step, context=EXACTLY)
    except (ArithmeticError, TypeError, ValueError, ValidationError) as error:
        raise ValueError(wrong) from error
    if exact != number:
        raise ValueError(wrong)
    return exact if isinstance(field, models.DecimalField) else int(exact)


def total_field(value: AnyField) -> AnyField:
    """Return a field that holds the sum of any number of values: PostgreSQL refuses what is too big for it."""
    if isinstance(value, models.DecimalField) and value.max_digits is not None:
        digits = min(value.max_digits + 18, 1000)
        return models.DecimalField(max_digits=digits, decimal_places=value.decimal_places, editable=False)
    return models.BigIntegerField(editable=False)


def used_fields(model: type[models.Model]) -> list[AnyField]:
    """Return the fields beside the dimensions that a balance is worked out from."""
    names = {"id", "value", *([DIRECTION] if is_double_entry(model) else [])}
    return [field for field in model._meta.local_concrete_fields if field.name in names]


def signed_value(model: type[models.Model]) -> str:
    """Return in SQL what an entry adds to a balance: a credit takes away."""
    value = quote_name(column_name(value_field(model)))
    if not is_double_entry(model):
        return value
    return f"CASE {quote_name(DIRECTION)} WHEN '{CREDIT}' THEN -{value} ELSE {value} END"


def signed_expression(model: type[models.Model]) -> Any:
    """Return for the ORM what an entry adds to a balance."""
    if not is_double_entry(model):
        return models.F("value")
    value = models.F("value")
    # Django takes the product with -1 for another type of numbers.
    return models.Case(models.When(direction=CREDIT, then=-value), default=value, output_field=value_field(model))


def balances_of(model: type[models.Model]) -> dict[str, Any]:
    """Return name -> model of the balances of a ledger. The dimensions are its `pgcraft_dimensions`."""
    # Not those of a model that it inherits from, unless it is a proxy.
    found: dict[str, Any] = vars(model._meta.concrete_model or model).get("pgcraft_balances", {})
    return found


def add_constraint(model: type[models.Model], constraint: models.BaseConstraint) -> None:
    """Add to `Meta.constraints` after the class is made, where Django's migrations look for it."""
    meta: Any = model._meta
    meta.constraints = [*meta.constraints, constraint]
    meta.original_attrs["constraints"] = meta.constraints


def add_index(model: type[models.Model], index: models.Index) -> None:
    """Add to `Meta.indexes` after the class is made."""
    meta: Any = model._meta
    if index.name not in {other.name for other in meta.indexes}:
        meta.indexes = [*meta.indexes, index]
        meta.original_attrs["indexes"] = meta.indexes


def index_entries(model: type[models.Model]) -> None:
    """Let the legs of an entry be found by `entry_id`."""
    # Django allows 30 characters for the name of an index.
    add_index(model, models.Index(fields=["entry_id"], name=f"{shorten(model._meta.db_table, 21)}_entry_id"))


def constraint_name(model: type[models.Model], *parts: str) -> str:
    """Return the name of a constraint of the model."""
    return shorten("_".join((model._meta.db_table, *parts)))
