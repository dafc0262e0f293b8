"""Numbered system checks. Numbers are stable: they stand in `SILENCED_SYSTEM_CHECKS` and in `docs/checks.md`.

The setting `PGCRAFT`
    E001  `PGCRAFT` is not a dict.
    E002  `PGCRAFT` has an unknown key.
    E003  A key of `PGCRAFT` has a value of the wrong type.
    E004  `API_SCHEMA` is the schema of the tables, or `public`.
    E005  The authenticator is also a request role.

Names and grants, wherever they are written
    E011  A name that PostgreSQL or PostgREST cannot hold.
    E012  The name of a schema, a role or a column is reserved.
    E013  Grants are not a mapping of roles to lists of privileges.
    E014  A grant names a role that no request can switch to.
    E015  A grant names an unknown privilege.

Models
    E021  `class PGCraft` has an unknown option.
    E022  An option of `class PGCraft` has a value of the wrong type.
    E023  `class PGCraft` is on a model that no factory makes.
    E024  A dot, a quote, a `%` or a `$` in the name of a table or column.
    E025  PostgreSQL would cut two table names to the same one.
    E026  A factory model inherits from a model with a table of its own.
    E027  A factory model is `managed = False`.
    E028  `pgcraft_django` is not in `INSTALLED_APPS`.
    E029  What belongs into `class PGCraft` is somewhere else.
    E030  A model inherits from several factories.
    W001  The app of a factory model has no migrations.

One API
    E031  An argument of `API` or `register` has the wrong type.
    E032  Both `columns` and `exclude` are given.
    E033  A column does not exist.
    E034  A column is listed twice.
    E035  No column is left to expose.
    W002  A role may insert, but PostgreSQL does not know a column's default.
    W003  A role may insert, but a required column is not exposed.
    W004  A role may insert and update, but no unique key is exposed.

All APIs together
    E036  A schema is exposed that also holds tables.
    E037  Two resources of one schema have one name, or two functions.
    E038  Two apps expose one model.
    E039  `register` is called for an abstract or swapped model.
    E040  `register` names an app that is not installed or has no migrations.
    W005  A history, a log or a balance shows a role what the model's API hides from it.

Commands and databases (E052 to E054 run with `migrate` and with `check --database`)
    E051  Another autodetector is used by `makemigrations` or `migrate`.
    E052  No PostgreSQL database is there for a model.
    E053  The server is older than PostgreSQL 15.
    E054  The search path does not lead to the tables.

Histories
    E061  A field, a column or something else has a name that its history needs.
    E062  `history_api` is not an API.
    E063  A field is computed when it is read, so that a history cannot keep it.

State machines
    E071  No field can hold the state.
    E072  `transitions` do not map states to lists of states.
    E073  There is no initial state.
    E074  A state is not among the field's choices, or too long for the field.
    E075  A guard cannot be decided from the row alone.
    E076  A field of the log of transitions cannot be there.
    E077  `transition_grants` name an unknown role or state.
    E078  `transition_api` is not an API.
    E079  The state is in the `list_editable` of a `StateMachineAdmin`.
    W071  No transition leads to a state.

Attributes
    E081  A `ForeignKey` leads to a model whose relation is a view.
    E082  The key of an entity is not one plain column.
    E083  A field, a column or something else has a name that the model or the tables behind it need.
    E084  A many-to-many field is on a model whose relation is a view, or leads to one.
    E085  An attribute cannot be a generated field.
    E086  A constraint or index is not possible over attributes.
    E087  `attribute_api` or `extra_api` is not an API.
    E088  `extra` is neither `True` nor `False`.
    E089  A foreign key refers to an attribute, which is no column.
    E090  Attributes would have one index, by the name that is made for it.

Ledgers
    E091  The value cannot hold every amount exactly.
    E092  The dimensions of a `Balance` are not fields of the ledger's own.
    E093  Balances have no names of their own.
    E094  A minimum is not a number.
    E095  A plugin for ledgers is on another model.
    E096  `idempotency` is neither `True` nor `False`.
    E097  `record_grants` name an unknown role.
    E098  A field has the name of one that the ledger adds.
    E099  A ledger cannot be partitioned as it is declared.
    E100  A foreign key of a ledger would change entries when what it refers to is deleted.
    W091  A foreign key of a ledger would delete entries.
    W092  The admin offers to do with a ledger what PostgreSQL refuses.

Row-level security
    E101  `policies` is not a list of policies.
    E102  The name of a policy cannot be held, or is taken.
    E103  A policy has unknown commands.
    E104  A policy names a role that no request can switch to.
    E105  A policy has no condition on rows, or one that cannot be understood.
    E106  `register()` gives policies where it cannot, twice, or in another app than the API.
    W101  No index helps to find the rows of a policy.
    W102  The policies of a parent do not count.

Logins
    E121  A lifetime is not positive.
    E122  `TOKEN_CLAIMS` is not a function.
    E123  Nothing says which role a user gets.
    E124  Logins are exposed.
    E125  There are two models of logins.
    E126  The URLs give tokens, and there is no model of logins.
    E127  PyJWT is missing.
    W121  PostgREST asks another function before each request.
    W122  The audience is known to PostgREST alone.

Before going live (with `check --deploy`; E112 to E117, E119, E120 and W115 also need `--database`)
    E111  The secret that signs tokens is short, or the text of a public key.
    E112  A request role is a superuser, or bypasses row-level security.
    E113  A view of the API runs with the rights of its owner.
    E114  A materialized view is exposed.
    E115  A function runs with the rights of its owner and a search path that does not end with pg_temp.
    E116  Everybody may call a function of the API.
    E117  A table has policies, and its row-level security is off.
    E118  Logins cannot sign tokens.
    E119  A token can name a role with more power.
    E120  Others may create tables where Django looks for its own.
    W111  Everybody may read or write all rows of a resource.
    W112  A column is exposed whose name says that it is a secret.
    W113  A policy lets a role write every row.
    W114  Tokens without an end are taken.
    W115  A function of the API runs with the rights of its owner.
"""

from importlib import import_module
from typing import Any

from django.core.checks import CheckMessage, Tags
from django.core.checks import register as register_check

TAG = "pgcraft_django"


class _Check:
    """A check whose module is imported when it first runs: most start-ups run none."""

    def __init__(self, module: str, function: str) -> None:
        self.module = module
        self.function = function

    def __call__(self, **kwargs: Any) -> list[CheckMessage]:
        module = import_module(f"{__name__}.{self.module}")
        messages: list[CheckMessage] = getattr(module, self.function)(**kwargs)
        return messages


def register() -> None:
    """Register all checks; `manage.py check --tag pgcraft_django` runs them alone, without asking a database."""
    register_check(_Check("settings", "check_settings"), TAG)
    register_check(_Check("models", "check_models"), TAG, Tags.models)
    register_check(_Check("api", "check_apis"), TAG, Tags.models)
    register_check(_Check("policies", "check_policies"), TAG, Tags.models)
    register_check(_Check("logins", "check_logins"), TAG)
    register_check(_Check("resources", "check_resources"), TAG, Tags.models)
    register_check(_Check("commands", "check_commands"), TAG, Tags.commands)
    register_check(_Check("admin", "check_admin"), TAG, Tags.admin)
    register_check(_Check("deploy", "check_exposure"), TAG, Tags.security, deploy=True)
    register_check(_Check("deploy", "check_live"), Tags.database, deploy=True)
    # Not with our tag: Django from 6.1 on runs a check that has a tag asked for on all databases.
    register_check(_Check("database", "check_databases"), Tags.database)
