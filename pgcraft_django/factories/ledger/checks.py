"""What can be wrong with the declaration of a ledger and its plugins."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage
from django.db import models

from pgcraft_django.api import is_api
from pgcraft_django.columns import column_name, is_virtual
from pgcraft_django.conf import get_config, is_names
from pgcraft_django.factories.base import is_redefined
from pgcraft_django.factories.foreign_key import KEEPING
from pgcraft_django.factories.ledger.model import PGCraftLedger, is_ledger
from pgcraft_django.factories.ledger.shape import (
    DIRECTION,
    INTERVALS,
    KEY,
    OF_BALANCES,
    OWN,
    is_idempotent,
    partition_interval,
)
from pgcraft_django.messages import corrected, error, listed, nearest, renamed, source, warning
from pgcraft_django.naming import is_identifier
from pgcraft_django.plugins.base import get_plugins, option

if TYPE_CHECKING:
    from pgcraft_django.factories.ledger.balance import Balance

_ADDED = {"running_balance": "running_balance()", "rolling_change": "rolling()"}
"""What queries give the entries that they return."""


def check_ledger(model: type[models.Model]) -> Iterator[CheckMessage]:
    """Yield what is wrong with the fields and options of a ledger."""
    value = model._meta.get_field("value")
    exact = isinstance(value, models.DecimalField) and value.max_digits is not None and value.decimal_places is not None
    if not (exact or isinstance(value, models.IntegerField)) or value.null:
        wrong = "may be NULL, which is no amount" if value.null else "does not hold every amount exactly"
        yield error(
            "E091",
            f"The field 'value' is of type {type(value).__name__} and {wrong}.",
            hint="Write value = models.BigIntegerField(), or value = models.DecimalField(max_digits=20, "
            "decimal_places=2), without null=True",
            obj=model,
        )
    if not isinstance(option(model, "idempotency", False), bool):
        yield error(
            "E096",
            f"idempotency in class PGCraft is {option(model, 'idempotency')!r}; it must be True or False.",
            hint="Write idempotency = True",
            obj=model,
        )
    for field in model._meta.local_fields:
        if field.name in ("entry_id", "created_at") and is_redefined(field, PGCraftLedger):
            yield taken(field.name, "PGCraftLedger", model)
        # Checkpoints, balances and the order of entries go by it.
        if field.name == "id" and not (isinstance(field, models.IntegerField) and column_name(field) == "id"):
            yield taken("id", "PGCraftLedger", model)
        if (what := _ADDED.get(field.name)) is not None:
            yield taken(field.name, what, model)
    if is_idempotent(model) and "pgcraft_keys" not in model.__dict__:
        yield taken(KEY, "idempotency = True", model)
    yield from _deletions(model)
    yield from _grants(model)
    if option(model, "partition_by") is not None:
        yield from _partitions(model)


def _deletions(model: type[models.Model]) -> Iterator[CheckMessage]:
    """Yield which foreign keys ask for what the guard of entries refuses, and so the deletion of what they refer to."""
    for field in model._meta.local_fields:
        if field.remote_field is None or field.remote_field.on_delete in KEEPING:
            continue
        asked = getattr(field.remote_field.on_delete, "__name__", "").replace("set_on_delete", "SET(…)")
        hint = f"Write on_delete=models.PROTECT in {field.name} = …; RESTRICT and DO_NOTHING are possible, too"
        if asked.endswith("CASCADE"):  # Django's own, and from 6.1 on DB_CASCADE
            message = f"{asked} of the field {field.name!r} would delete entries: it is refused, as with PROTECT."
            yield warning("W091", message, hint=hint, obj=model)
        else:
            message = f"{asked} of the field {field.name!r} would change entries, which stay as they are."
            yield error("E100", message, hint=hint, obj=model)


def _grants(model: type[models.Model]) -> Iterator[CheckMessage]:
    roles: Any = option(model, "record_grants", ())
    known = get_config().request_roles
    if not is_names(roles):
        message = f"record_grants in class PGCraft is {roles!r}; it must be a list of roles."
        yield error("E097", message, hint=f"Write record_grants = {source(list(known[:1]))}", obj=model)
    elif unknown := [role for role in roles if role not in known]:
        message = f"record_grants names {listed(unknown)}, which no request can switch to."
        fixed = corrected(roles, known) or list(known)
        yield error("E097", message, hint=f"Write record_grants = {source(fixed)}", obj=model)


def _partitions(model: type[models.Model]) -> Iterator[CheckMessage]:
    from pgcraft_django.factories.ledger.partitions import longest_name

    meta = model._meta
    if partition_interval(model) is None:
        message = f"partition_by in class PGCraft is {option(model, 'partition_by')!r}, which is no period."
        hint = f'Write partition_by = "month"; {listed(INTERVALS)} are possible'
        yield error("E099", message, hint=hint, obj=model)
    if not is_identifier(longest_name(meta.db_table)):
        message = f"The name of the table {meta.db_table!r} is too long, or not fit, for those of partitions."
        yield error("E099", message, hint="Write a db_table of at most 53 bytes in class Meta", obj=model)
    unique = [field.name for field in meta.local_fields if field.unique and not field.primary_key]
    unique += [", ".join(names) for names in meta.unique_together]
    unique += [item.name for item in meta.constraints if not isinstance(item, models.CheckConstraint)]
    if unique:
        message = f"{listed(unique)} cannot be unique across partitions, which PostgreSQL judges one by one."
        hint = "Remove it, or partition_by. What must not be booked twice takes idempotency = True"
        yield error("E099", message, hint=hint, obj=model)
    for field in _references(model):
        message = f"{field} is a foreign key to a partitioned ledger, which PostgreSQL cannot hold to."
        yield error("E099", message, hint=f"Write db_constraint=False in {field.name} = …", obj=model)
    if not isinstance(meta.pk, models.BigAutoField):
        message = "The primary key of a partitioned ledger is one that PostgreSQL counts up."
        yield error("E099", message, hint=f"Remove {meta.pk.name} = … from the model", obj=model)


def _references(model: type[models.Model]) -> Iterator[Any]:
    """Yield the fields with a constraint that refers to the model, those without a way back (`"+"`) included."""
    for relation in model._meta.get_fields(include_hidden=True):
        field: Any = getattr(relation, "field", None)
        if (relation.one_to_many or relation.one_to_one) and getattr(field, "db_constraint", False):
            made_for: Any = field.model._meta.auto_created
            links = made_for._meta.local_many_to_many if made_for else ()
            yield next((link for link in links if link.remote_field.through is field.model), field)


def check_balance(plugin: "Balance", model: type[models.Model]) -> Iterator[CheckMessage]:
    """Yield what is wrong with one `Balance` of `model`."""
    from pgcraft_django.factories.ledger.balance import Balance

    if not is_ledger(model):
        yield not_a_ledger("Balance", model)
        return
    yield from _dimensions(plugin, model)
    if plugin.minimum is not None and not plugin.has_minimum:
        message = f"Balance has the minimum {plugin.minimum!r}, which is no number to compare with."
        yield error("E094", message, hint="Write Balance(dimensions=[…], minimum=0)", obj=model)
    if not is_api(plugin.api):
        message = f"Balance(api=…) is of type {type(plugin.api).__name__}; it must be an API or a list of them."
        yield error("E022", message, hint='Write api=API(grants={"webuser": ["select"]})', obj=model)
    yield from _balance_name(plugin, model, [item for item in get_plugins(model) if isinstance(item, Balance)])


def _balance_name(
    plugin: "Balance", model: type[models.Model], balances: "Sequence[Balance]"
) -> Iterator[CheckMessage]:
    from pgcraft_django.factories.ledger.balance_objects import trigger_names
    from pgcraft_django.factories.ledger.objects import OWN_TRIGGERS

    same = [other for other in balances if other.name == plugin.name]
    others = {name for other in balances for name in trigger_names(other)[1:]}
    example = "_".join(["by", *map(str, same[-1].dimensions if is_names(same[-1].dimensions) else ())])
    if not isinstance(plugin.name, str) or not plugin.name.isidentifier():
        message = f"Balance has the name {plugin.name!r}, which is no name."
        yield error("E093", message, hint='Write Balance(…, name="stock")', obj=model)
    elif len(same) > 1 and same[0] is plugin:
        message = f"Several balances of the model are called {plugin.name!r}."
        yield error("E093", message, hint=f"Write Balance(…, name={source(example)})", obj=model)
    elif trigger_names(plugin)[0] in OWN_TRIGGERS | others:
        message = f"The trigger of the balance {plugin.name!r} would be called as another one of the ledger."
        yield error("E093", message, hint=f"Write Balance(…, name={source(example)})", obj=model)


def check_double_entry(model: type[models.Model]) -> Iterator[CheckMessage]:
    """Yield what is wrong with `DoubleEntry` on `model`."""
    if not is_ledger(model):
        yield not_a_ledger("DoubleEntry", model)
    elif "pgcraft_unbalanced" not in model.__dict__:
        yield taken(DIRECTION, "DoubleEntry", model)


def taken(name: str, what: str, model: type[models.Model]) -> CheckMessage:
    """Return that the model has a field that `what` adds."""
    return error(
        "E098",
        f"The model has a field {name!r}, which {what} adds by itself.",
        hint=f"Remove {name} = …, or write {renamed(name, model)} = … instead",
        obj=model,
    )


def not_a_ledger(plugin: str, model: type[models.Model]) -> CheckMessage:
    """Return that the plugin is on a model that is no ledger."""
    return error(
        "E095",
        f"{plugin} is a plugin for ledgers, and the model is none.",
        hint=f"Write class {model.__name__}(PGCraftLedger)",
        obj=model,
    )


def _dimensions(plugin: "Balance", model: type[models.Model]) -> Iterator[CheckMessage]:
    known = [field.name for field in model._meta.local_concrete_fields if field.name not in OWN]
    names: Any = plugin.dimensions
    example = f"Write Balance(dimensions={source(known[:2])})" if known else "Write account = models.TextField(), say"
    if not is_names(names) or not names:
        message = f"Balance(dimensions=…) is {names!r}; it must be a list of names of fields."
        yield error("E092", message, hint=example, obj=model)
    elif len(set(names)) < len(names):
        fixed = source(list(dict.fromkeys(names)))
        yield error("E092", "Balance names a dimension twice.", hint=f"Write Balance(dimensions={fixed})", obj=model)
    else:
        for name in names:
            if name in OF_BALANCES and name in known:
                yield taken(name, "the table of a Balance", model)
            elif name not in known:
                near = nearest(name, known)
                message = f"Balance has the dimension {name!r}, which is no field of the ledger's own."
                hint = f"Write {source(near)}" if near else f"The fields are {listed(known)}"
                yield error("E092", message, hint=hint, obj=model)
            elif is_virtual(model._meta.get_field(name)):
                message = f"PostgreSQL computes the dimension {name!r} when it is read, so not while it is booked."
                yield error("E092", message, hint=f"Write {name} = …(db_persist=True)", obj=model)
