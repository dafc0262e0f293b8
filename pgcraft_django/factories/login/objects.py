"""The function that PostgREST asks before each request (`db-pre-request`), and who may call it.

It runs with the rights of its owner, because request roles see nothing of the table, and is in a schema of its own:
in that of the API it would be served, and on the schema of the tables no request role has USAGE.
"""

from collections.abc import Iterator

from django.db import models

from pgcraft_django.bodies import read_body
from pgcraft_django.columns import column_name, column_types
from pgcraft_django.conf import get_config
from pgcraft_django.naming import quote_name, quote_text, shorten
from pgcraft_django.objects import DatabaseObject, Function, FunctionGrant, Role, Schema, SchemaGrant
from pgcraft_django.objects.relation import relation_key

FUNCTION = "check_token"


def request_schema() -> str:
    """Return the schema of the function. PostgREST takes a dot for the end of a schema's name."""
    return shorten(f"{get_config().api_schema.replace('.', '_')}_request")


def login_objects(model: type[models.Model], schema: str) -> Iterator[DatabaseObject]:
    """Yield the function, and what request roles need to call it."""
    table = quote_name(schema, model._meta.db_table)
    fields = [field for field in model._meta.local_concrete_fields if field.name in ("id", "revoked_at")]
    function = Function(
        schema=request_schema(),
        name=FUNCTION,
        returns="void",
        language="plpgsql",
        volatility="stable",
        security_definer=True,
        body=read_body(
            __file__,
            "check_token",
            table=table,
            key=quote_name(column_name(fields[0])),
            revoked_at=quote_name(column_name(fields[1])),
            anon=quote_text(get_config().anon_role),
            audience=_audience(),
        ),
        requires=[tuple(relation_key(schema, model._meta.db_table))],
        reads={table: column_types(fields)},
    )
    yield Schema(name=function.schema)
    yield function
    for role in get_config().request_roles:
        yield Role(name=role)
        yield SchemaGrant(schema=function.schema, role=role)
        yield FunctionGrant(schema=function.schema, function=FUNCTION, role=role)


def _audience() -> str:
    """Return the case of a token that is for somebody else; PostgREST lets one pass that is for nobody."""
    audience = get_config().postgrest.get("jwt-aud")
    if not audience or not isinstance(audience, str):
        return "-- For whom it is (aud) does not matter."
    return (
        f"WHEN NOT coalesce(claims -> 'aud' ? {quote_text(audience)}, false)\n"
        "    THEN 'The token is not for this API (aud).'"
    )
