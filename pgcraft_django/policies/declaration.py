"""Policies as models declare them. As long as a model has any, nobody sees or writes a row that none lets through.

The owner of the tables, which Django usually is, bypasses them.
"""

from collections.abc import Collection, Sequence

from django.db import models

from pgcraft_django.api import ALL, PRIVILEGES
from pgcraft_django.factories.base import get_factory
from pgcraft_django.naming import plain_text
from pgcraft_django.plugins.base import option
from pgcraft_django.policies.claims import Claim
from pgcraft_django.registry import is_factory_model, policy_registrations

Condition = models.Q | models.Expression | str
"""A `Q`, a Django expression that is true or false, or SQL over the table's columns."""


class Policy:
    """Lets `roles` (default: whoever has the privilege) use `commands` on the rows for which `using` is true.

    `commands` is `"all"` or a list of `select`, `insert`, `update`, `delete`. Rows that are written have to meet
    `check`, which is `using` unless given. With `permissive=False` it opens no rows, but closes others.
    """

    def __init__(
        self,
        name: str,
        *,
        using: Condition | None = None,
        check: Condition | None = None,
        roles: Sequence[str] = (),
        commands: str | Sequence[str] = ALL,
        permissive: bool = True,
    ) -> None:
        self.name = name
        self.using = using
        self.check = check
        self.roles = roles
        self.commands = commands
        self.permissive = permissive

    @property
    def conditions(self) -> dict[str, Condition]:
        """What was given, by its argument's name."""
        given = {"using": self.using, "check": self.check}
        return {name: condition for name, condition in given.items() if condition is not None}


class OwnerPolicy(Policy):
    """Lets a request use the rows whose `field` is what its token claims as `claim`."""

    def __init__(
        self,
        field: str,
        *,
        claim: str = "sub",
        name: str = "owner",
        check: Condition | None = None,
        roles: Sequence[str] = (),
        commands: str | Sequence[str] = ALL,
        permissive: bool = True,
    ) -> None:
        using = models.Q(**{field: Claim(claim)})
        super().__init__(name, using=using, check=check, roles=roles, commands=commands, permissive=permissive)


class TenantPolicy(Policy):
    """Lets a request use the rows of the tenant that its token claims."""

    def __init__(
        self,
        field: str,
        *,
        claim: str = "tenant_id",
        name: str = "tenant",
        check: Condition | None = None,
        roles: Sequence[str] = (),
        commands: str | Sequence[str] = ALL,
        permissive: bool = True,
    ) -> None:
        using = models.Q(**{field: Claim(claim)})
        super().__init__(name, using=using, check=check, roles=roles, commands=commands, permissive=permissive)


class TenantOwnerPolicy(Policy):
    """Lets a request use the rows that are its own within the tenant that its token claims."""

    def __init__(
        self,
        tenant: str,
        owner: str,
        *,
        tenant_claim: str = "tenant_id",
        owner_claim: str = "sub",
        name: str = "tenant_owner",
        check: Condition | None = None,
        roles: Sequence[str] = (),
        commands: str | Sequence[str] = ALL,
        permissive: bool = True,
    ) -> None:
        using = models.Q(**{tenant: Claim(tenant_claim), owner: Claim(owner_claim)})
        super().__init__(name, using=using, check=check, roles=roles, commands=commands, permissive=permissive)


class PublicReadPolicy(Policy):
    """Lets everybody who may select see all rows."""

    def __init__(
        self,
        *,
        name: str = "public_read",
        roles: Sequence[str] = (),
        commands: str | Sequence[str] = ("select",),
        permissive: bool = True,
    ) -> None:
        super().__init__(name, using="true", roles=roles, commands=commands, permissive=permissive)


def protecting_policies(model: type[models.Model]) -> list[Policy]:
    """Return the policies that count for the model's rows: for those of a companion, what its owner lists."""
    owner = getattr(model, "pgcraft_owner", None)
    return get_policies(model) if owner is None else get_policies(owner) if get_factory(model).is_protected else []


def get_policies(model: type[models.Model]) -> list[Policy]:
    """Return the policies that the model lists; what is none is left to the system checks."""
    declared = declared_policies(model)
    return [item for item in declared if isinstance(item, Policy)] if isinstance(declared, list | tuple) else []


def declared_policies(model: type[models.Model]) -> object:
    """Return what `class PGCraft` says, or, of a model that has none of a factory, `register()`: as it was written."""
    if is_factory_model(model):
        return option(model, "policies", ())
    return next((registration.policies for registration in policy_registrations(model)), ())


def expand_commands(commands: object) -> tuple[str, ...]:
    """Return the commands that PostgreSQL needs a policy for: `all`, or each one."""
    if commands == ALL:
        return (ALL,)
    named = commands if isinstance(commands, list | tuple) else ()
    return tuple(command for command in PRIVILEGES if command in named)


def policy_names(policy: Policy, commands: Collection[str]) -> dict[str, str]:
    """Return command -> name of PostgreSQL's policy for it: of several, each has one of its own."""
    name = plain_text(policy.name)
    return {command: name if len(commands) == 1 else f"{name}_{command}" for command in commands}
