"""Django's own queries with the rights of a request: `as_role()`.

Inside the block the connection has the role and the claims that PostgREST would give the request, and finds the API's
views where it otherwise finds the tables of the same names. So the ORM sees and writes what the API would let through:
the columns that are exposed, what is granted, and the rows of the policies. All of it is set for one transaction, and
goes with it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

from django.apps import apps
from django.core.signals import setting_changed
from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connections, router, transaction
from django.db.models import Model

from pgcraft_django.attribution.acting import acting, acting_role
from pgcraft_django.conf import get_config
from pgcraft_django.diagnosis import INSUFFICIENT_PRIVILEGE, UNDEFINED_TABLE, server_message, sqlstate
from pgcraft_django.errors import ConfigurationError, RoleError
from pgcraft_django.messages import listed, source
from pgcraft_django.naming import quote_name, quote_names
from pgcraft_django.registry import api_schemas, get_resources, resource_of_table

NO_ROLE = 'There is no role for who is logged in: write "ROLES": ["anon", "webuser"] in PGCRAFT.'
SETTINGS = ("role", "request.jwt.claims", "search_path")


def user_role() -> str:
    """Return the role of who is logged in: the one request role beside `ANON_ROLE`.

    Raises `ConfigurationError` if there is not exactly one.
    """
    others = [role for role in get_config().request_roles if role != get_config().anon_role]
    if len(others) != 1:
        raise ConfigurationError(f"Who is logged in may be any of {listed(others)}." if others else NO_ROLE)
    return others[0]


@cache
def _api_path() -> str:
    return quote_names(list(api_schemas()))


def _reset(*, setting: str, **kwargs: Any) -> None:
    if setting == "PGCRAFT":
        _api_path.cache_clear()


setting_changed.connect(_reset, dispatch_uid="pgcraft_django.request_role")


@contextmanager
def as_role(role: str, *, claims: Mapping[str, Any] | None = None, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Run the block's queries on the database `using` as the request role `role`, whose token says `claims`.

    The block is a transaction, or a savepoint in one. Querysets have to be evaluated inside of it.

    Raises `RoleError` if no request can switch to the role, Django's database user may not, it is no PostgreSQL, or a
    router reads its rows elsewhere, and `TypeError` if the claims are nothing that JSON can hold.
    """
    if role not in get_config().request_roles:
        raise RoleError(f"No request can switch to {role!r}. The roles are {listed(get_config().request_roles)}.")
    if connections[using].vendor != "postgresql":
        raise RoleError(f"DATABASES[{source(using)}] is not PostgreSQL. Name the one that is: as_role(…, using=…)")
    given = {
        "role": role,
        "request.jwt.claims": json.dumps({**(claims or {}), "role": role}),
    }
    with transaction.atomic(using=using):
        before = _read(using)
        try:
            _set(using, {**given, "search_path": f"{_api_path()}, {before['search_path']}"})
        except ProgrammingError as error:
            if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
                raise
            user = quote_name(connections[using].settings_dict["USER"] or "…")
            raise RoleError(
                f"Django's database user may not switch to {role!r}. Let a DBA run: GRANT {quote_name(role)} TO {user}"
            ) from error
        try:
            with acting(role, using, partial(_readable, role)), _grouping_by_all_columns(using):
                _check_reads(using)
                yield
        except ProgrammingError as error:
            if sqlstate(error) in (UNDEFINED_TABLE, INSUFFICIENT_PRIVILEGE):
                _explain(error)
            raise
        # An error takes the settings back with the transaction or savepoint, and so does what is to be rolled back;
        # otherwise one around it goes on as before.
        if not connections[using].needs_rollback:
            _set(using, before)


def _readable(role: str, model: type[Model]) -> set[str]:
    resource = resource_of_table(model)
    return set(resource.columns) if resource and role in resource.roles("select") else set()


@contextmanager
def _grouping_by_all_columns(using: str) -> Iterator[None]:
    """Let Django group by more than primary keys: what it finds are views, which have none."""
    features: Any = connections[using].features
    before = features.allows_group_by_selected_pks
    features.allows_group_by_selected_pks = False
    try:
        yield
    finally:
        features.allows_group_by_selected_pks = before


def _check_reads(using: str) -> None:
    """Raise `RoleError` if a router reads elsewhere what is written here, with the rights of Django's own user."""
    if not router.routers:
        return
    for model in apps.get_models():
        reader = router.db_for_read(model)
        if reader != using and router.db_for_write(model) == using and acting_role(reader) is None:
            raise RoleError(
                f"A router reads {model._meta.label} from {source(reader)}, with the rights of Django's own database "
                f"user. Begin with as_role(…, using={source(reader)}), or let the router return {source(using)} while "
                f"acting_role({source(using)}), of pgcraft_django.attribution.acting, is not None."
            )


def _explain(error: ProgrammingError) -> None:
    """Note at an error that a model is exposed, but under another name than that of the table, which Django asks."""
    said = server_message(error)
    exposed = {(resource.model._meta.db_table, resource.name): resource.model for resource in get_resources()}
    for (table, name), model in exposed.items():
        if re.search(rf"(?<!\w){re.escape(table)}(?!\w)", said) and (table, table) not in exposed:
            error.add_note(
                f"as_role() finds a model's resource by the name of its table, and that of {model._meta.label} is "
                f"called {source(name)}. Write db_table = {source(name)} in its class Meta, or expose it as "
                f"{source(table)} too: api = [API(name={source(name)}), API()]"
            )


def _read(using: str) -> dict[str, str]:
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT " + ", ".join(["coalesce(pg_catalog.current_setting(%s, true), '')"] * len(SETTINGS)), SETTINGS
        )
        return dict(zip(SETTINGS, cursor.fetchone(), strict=True))


def _set(using: str, values: Mapping[str, str]) -> None:
    """Set all at once, until the transaction ends."""
    parameters = [text for pair in values.items() for text in pair]
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(["pg_catalog.set_config(%s, %s, true)"] * len(values)), parameters)
