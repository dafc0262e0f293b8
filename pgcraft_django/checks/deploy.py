"""What is no mistake, but looks like one before a site goes live: `manage.py check --deploy`.

`check_exposure` reads the models and settings, `check_live` asks the databases named by `--database`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.apps import AppConfig
from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.core.checks import CheckMessage
from django.core.exceptions import FieldError
from django.db import Error, connections, models, transaction

from pgcraft_django.api import Resource, expand
from pgcraft_django.columns import column_name
from pgcraft_django.conf import get_config
from pgcraft_django.errors import ConfigurationError
from pgcraft_django.factories.base import get_factory
from pgcraft_django.messages import error, listed, of_apps, source, warning
from pgcraft_django.naming import DEFAULT_SCHEMA
from pgcraft_django.policies.conditions import render
from pgcraft_django.policies.declaration import Condition, Policy, protecting_policies
from pgcraft_django.postgrest.versions import KEY_FILE_GIVEN, LEAST_SECRET, MAKE_ONE, is_key_file
from pgcraft_django.registry import api_schemas, get_resources, login_models, table_schemas
from pgcraft_django.tokens import PRIVATE_KEY_VARIABLE, secret_bytes, signing_key

SECRETS = re.compile(
    r"(?:^|_)(?:password|passwd|secret|token|api_?key|private_key|ssn|iban|cvv|card_number|salt)(?:_|$)", re.IGNORECASE
)


def check_exposure(
    *, app_configs: Sequence[AppConfig] | None = None, apps: Apps = global_apps, **kwargs: Any
) -> list[CheckMessage]:
    """Return what the APIs of `app_configs` open that is rarely meant to be open."""
    return [*of_apps(_exposed(apps), app_configs), *(list(_weak_secret()) or _tokens(apps))]


def _exposed(apps: Apps) -> Iterator[CheckMessage]:
    anon = get_config().anon_role
    for resource in get_resources(apps):
        model = resource.model
        policies = protecting_policies(model)
        open_to_anon = [name for name in resource.grants.get(anon, ()) if anon]
        if open_to_anon and not policies:
            yield warning(
                "W111",
                f"Everybody may {listed(open_to_anon)} all rows of {resource.name!r}, without a token.",
                hint=f"Write policies in class PGCraft, or grants={{{source(anon)}: []}} in its API",
                obj=model,
            )
        yield from _secrets(resource)
        for policy in policies:
            writers = _writers(resource, policy)
            if writers and any(_is_always_true(model, policy, given) for given in policy.conditions.values()):
                yield warning(
                    "W113",
                    f"The policy {policy.name!r} lets {listed(writers)} write every row of {resource.name!r}.",
                    hint='Write commands=["select"], or a condition',
                    obj=model,
                )


def _writers(resource: Resource, policy: Policy) -> list[str]:
    """Return the roles that write by the resource, or by a function beside it, what the policy lets them."""
    writes = set(expand(policy.commands)) - {"select"}
    granted = {(role, privilege) for role, privileges in resource.grants.items() for privilege in privileges}
    granted |= {(role, privilege) for role, privilege, _ in get_factory(resource.model).column_grants(resource.model)}
    return sorted(
        {role for role, privilege in granted if privilege in writes and (not policy.roles or role in policy.roles)}
    )


def _is_always_true(model: type[models.Model], policy: Policy, condition: Condition) -> bool:
    try:
        return render(model, condition, policy.name).sql.strip().lower() == "true"
    except FieldError:
        return False  # E105 says so


def _secrets(resource: Resource) -> Iterator[CheckMessage]:
    names = [column_name(field) for field in resource.fields if SECRETS.search(column_name(field))]
    if names and resource.grants:
        yield warning(
            "W112",
            f"{resource.name!r} exposes {listed(names)}, which by name are secrets.",
            hint=f"Write exclude={source(names)} in its API",
            obj=resource.model,
        )


def _weak_secret() -> Iterator[CheckMessage]:
    try:
        key = secret_bytes()
    except ConfigurationError:
        return  # said where the secret is used
    if key is not None and len(key) < LEAST_SECRET:
        yield error(
            "E111",
            f"jwt-secret has {len(key)} bytes: whoever guesses it can pose as anybody.",
            hint=MAKE_ONE,
        )
    elif key is not None and is_key_file(key):
        yield error("E111", KEY_FILE_GIVEN, hint=f"A secret is random. {MAKE_ONE}")


def _tokens(apps: Apps) -> Iterator[CheckMessage]:
    if login_models(apps):
        try:
            signing_key()
        except ConfigurationError as problem:
            yield error("E118", f"Logins cannot sign tokens. {problem}", hint=f"Or set {PRIVATE_KEY_VARIABLE}")
    elif set(get_config().request_roles) - {get_config().anon_role} and get_resources(apps):
        yield warning(
            "W114",
            "PostgREST takes tokens that never end (without exp), and none can be revoked.",
            hint="Write class Login(PGCraftLogin): pass, in models.py of an app, and run manage.py makemigrations",
        )


# -- The database ------------------------------------------------------------------------------------------------


class Finding(NamedTuple):
    """What may be open in a database; `{0}` is the name of what is so, which `query` returns."""

    number: str
    message: str
    hint: str
    query: str


LIVE = (
    Finding(
        "E112",
        "The request role {0} is a superuser, or bypasses row-level security.",
        "Run: ALTER ROLE {0} NOSUPERUSER NOBYPASSRLS",
        "SELECT pg_catalog.quote_ident(rolname) FROM pg_catalog.pg_roles"
        " WHERE rolname = ANY (%(roles)s) AND (rolsuper OR rolbypassrls) ORDER BY 1",
    ),
    Finding(
        "E113",
        "The view {0} runs with the rights of its owner: row-level security does not apply in it.",
        "Run: ALTER VIEW {0} SET (security_invoker = true)",
        "SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c"
        " WHERE c.relnamespace = ANY (%(schemas)s::text[]::pg_catalog.regnamespace[]) AND c.relkind = 'v'"
        " AND NOT coalesce(c.reloptions && ARRAY['security_invoker=true', 'security_invoker=on'], false) ORDER BY 1",
    ),
    Finding(
        "E114",
        "The materialized view {0} is exposed, and no row-level security applies in it.",
        "Run: REVOKE ALL ON {0} FROM PUBLIC, and from each request role; expose a view instead",
        "SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c"
        " WHERE c.relnamespace = ANY (%(schemas)s::text[]::pg_catalog.regnamespace[]) AND c.relkind = 'm' ORDER BY 1",
    ),
    Finding(
        "E115",
        "The function {0} runs with the rights of its owner and a search path that its caller chooses, or whose first "
        "schema is that of its caller's temporary objects.",
        "Run: ALTER FUNCTION {0} SET search_path = pg_catalog, pg_temp",
        "SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p"
        " JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND p.prosecdef"
        # PostgreSQL looks for tables and types in pg_temp first, unless it is named: in an empty path too. With
        # SET search_path = 'a, pg_temp', there is one schema of this name.
        " AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) AS item"
        """ WHERE item ~ '^search_path=((("[^"]*")+|[^",]+), *)*("pg_temp"|pg_temp)$')"""
        " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY 1",
    ),
    Finding(
        "E116",
        "Everybody may call the function {0} of the API.",
        "Run: REVOKE ALL ON FUNCTION {0} FROM PUBLIC",
        "SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p,"
        " pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) AS a"
        " WHERE p.pronamespace = ANY (%(schemas)s::text[]::pg_catalog.regnamespace[]) AND a.grantee = 0 ORDER BY 1",
    ),
    Finding(
        "W115",
        "The function {0} of the API runs with the rights of its owner: row-level security does not apply in it.",
        "Run: ALTER FUNCTION {0} SECURITY INVOKER; or read it with an attacker's eyes, and silence this",
        "SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p"
        " WHERE p.pronamespace = ANY (%(schemas)s::text[]::pg_catalog.regnamespace[]) AND p.prosecdef ORDER BY 1",
    ),
    Finding(
        "E117",
        "The table {0} has policies, and its row-level security is off: they have no effect.",
        "Run: ALTER TABLE {0} ENABLE ROW LEVEL SECURITY",
        "SELECT DISTINCT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_policy p"
        " JOIN pg_catalog.pg_class c ON c.oid = p.polrelid WHERE NOT c.relrowsecurity ORDER BY 1",
    ),
    Finding(
        "E119",
        "A token can name the role {0}, which is a superuser, bypasses row-level security or owns what is exposed.",
        "Revoke it from the roles that PostgREST logs in as or switches to: manage.py pgcraft_drift prints how",
        # Whoever may switch to a role may switch to those that it is a member of.
        "WITH RECURSIVE named AS ("
        "SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %(authenticator)s"
        " UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN named ON m.member = named.oid)"
        " SELECT pg_catalog.quote_ident(rolname) FROM pg_catalog.pg_roles r JOIN named USING (oid)"
        " WHERE (rolsuper OR rolbypassrls) AND rolname <> ALL (%(roles)s) OR EXISTS (SELECT FROM pg_catalog.pg_class c"
        " WHERE c.relowner = r.oid AND c.relnamespace = ANY (%(schemas)s::text[]::pg_catalog.regnamespace[]))"
        " ORDER BY 1",
    ),
    Finding(
        "E120",
        "Not Django alone may create tables in the schema {0}: one that is called like a model's would be found first, "
        "and its triggers would run as Django.",
        "Run: REVOKE CREATE ON SCHEMA {0} FROM PUBLIC, and from each request role",
        "SELECT DISTINCT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_namespace n,"
        " pg_catalog.aclexplode(n.nspacl) AS a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee"
        " WHERE n.nspname = ANY (%(searched)s) AND a.privilege_type = 'CREATE'"
        " AND (a.grantee = 0 OR r.rolname = %(authenticator)s OR r.rolname = ANY (%(roles)s)) ORDER BY 1",
    ),
)


def check_live(
    *, databases: Sequence[str] | None = None, apps: Apps = global_apps, **kwargs: Any
) -> list[CheckMessage]:
    """Return what is open in `databases`, whoever has opened it."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        if connections[alias].vendor == "postgresql":
            found += _open(alias, apps)
    return found


def _open(alias: str, apps: Apps) -> Iterator[CheckMessage]:
    try:
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            # Then names are written with their schemas.
            cursor.execute("SELECT pg_catalog.set_config('search_path', 'pg_catalog', true)")
            cursor.execute(
                "SELECT pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_namespace WHERE nspname = ANY (%s)",
                [list(api_schemas(apps))],
            )
            schemas = [name for (name,) in cursor.fetchall()]
            config = get_config()
            parameters: dict[str, Any] = {
                "schemas": schemas,
                "roles": list(config.request_roles),
                "authenticator": config.authenticator_role,
                "searched": [DEFAULT_SCHEMA, *table_schemas(apps), *api_schemas(apps)],
            }
            for item in LIVE:
                cursor.execute(item.query, parameters)
                for (name,) in cursor.fetchall():
                    message = f"{item.message.format(name)} (database {alias!r})"
                    told = warning if item.number.startswith("W") else error
                    yield told(item.number, message, hint=item.hint.format(name))
    except Error:
        return  # whoever needs the database says what is wrong with it
