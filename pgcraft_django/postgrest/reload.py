"""Tell a running PostgREST that the schema has changed."""

from django.db import connections

from pgcraft_django.postgrest.config import reload_channel


def notify_reload(using: str) -> None:
    """Ask the PostgREST servers on Django's database `using` to read the schema again.

    It takes effect when the current transaction commits. Nobody has to be listening; a database that is not
    PostgreSQL is left alone.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_catalog.pg_notify(%s, 'reload schema')", [reload_channel()])
