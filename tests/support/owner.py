"""Who the tests' databases belong to: the superuser or, with `PGCRAFT_TEST_OWNER=plain`, what a DBA gives a project.

A plain owner is neither superuser nor CREATEROLE, so all roles that the tests' models name have been made before, and
the authenticator with its password. CREATEDB it has: Django's test runner needs it.
"""

import os
from typing import Any

import psycopg

from pgcraft_django.embedded import Server
from pgcraft_django.objects import Role, RoleMembership

OWNER = "pgcraft_tests_owner"
ROLES = ("anon", "editor", "staff", "webuser")
AUTHENTICATOR = Role(name="authenticator", login=True)
PASSWORD_VARIABLE = "PGRST_DB_PASSWORD"
LOCK = 0x6F776E6572  # "owner" in ASCII


def owner_of_databases(server: Server) -> dict[str, Any]:
    """Return what DATABASES says of the user, who is there afterwards."""
    if os.environ.get("PGCRAFT_TEST_OWNER") != "plain":
        return {}
    os.environ[PASSWORD_VARIABLE] = AUTHENTICATOR.name
    roles = [AUTHENTICATOR, *(Role(name=name) for name in ROLES)]
    memberships = [RoleMembership(role=name, member=AUTHENTICATOR.name) for name in ROLES]
    address = server.database("postgres")
    with psycopg.connect(host=address["HOST"], port=address["PORT"], user=address["USER"]) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])  # workers begin at the same time
        for statement in (sql for item in (*roles, *memberships) for sql in item.create_sql()):
            connection.execute(statement)
        connection.execute(f"ALTER ROLE {AUTHENTICATOR.name} PASSWORD '{AUTHENTICATOR.name}'")
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [OWNER]).fetchone():
            connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEDB PASSWORD '{OWNER}'")
        for name in ROLES:
            connection.execute(f"GRANT {name} TO {OWNER}")
    return {"USER": OWNER, "PASSWORD": OWNER}
