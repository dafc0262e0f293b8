"""The catalog of a database as plain values: what two databases must agree on to be the same."""

import re
from collections.abc import Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

# Every schema but PostgreSQL's own. Positions of columns and names of Django's own bookkeeping tables do not count.
_USER_SCHEMAS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_OURS = f"{_USER_SCHEMAS} AND c.relname !~ '^django_migrations'"

QUERIES = {
    "schemas": f"""
        SELECT n.nspname, obj_description(n.oid, 'pg_namespace')
        FROM pg_namespace n WHERE {_USER_SCHEMAS}
    """,
    "schema privileges": f"""
        SELECT n.nspname, a.grantee::regrole::text, a.privilege_type, a.is_grantable
        FROM pg_namespace n, aclexplode(n.nspacl) a
        WHERE a.grantee <> n.nspowner AND {_USER_SCHEMAS}
    """,
    "relations": f"""
        SELECT n.nspname, c.relname, c.relkind::text, c.reloptions, c.relrowsecurity,
               CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
               obj_description(c.oid, 'pg_class'), pg_get_userbyid(c.relowner)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND {_OURS}
    """,
    "relation privileges": f"""
        SELECT n.nspname, c.relname, a.grantee::regrole::text, a.privilege_type, a.is_grantable
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
        WHERE a.grantee <> c.relowner AND {_OURS}
    """,
    "columns": f"""
        SELECT n.nspname, c.relname, t.attname, format_type(t.atttypid, t.atttypmod), t.attnotnull,
               pg_get_expr(d.adbin, d.adrelid), t.attidentity::text, t.attgenerated::text,
               (SELECT collname FROM pg_collation WHERE oid = t.attcollation),
               col_description(c.oid, t.attnum)
        FROM pg_attribute t
        JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (t.attrelid, t.attnum)
        WHERE t.attnum > 0 AND NOT t.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm') AND {_OURS}
    """,
    "column privileges": f"""
        SELECT n.nspname, c.relname, t.attname, a.grantee::regrole::text, a.privilege_type
        FROM pg_attribute t
        JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(t.attacl) a
        WHERE NOT t.attisdropped AND {_OURS}
    """,
    "constraints": f"""
        SELECT n.nspname, c.relname, o.contype::text, pg_get_constraintdef(o.oid)
        FROM pg_constraint o
        JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE o.contype <> 'n' AND {_OURS}
    """,
    "indexes": f"""
        SELECT n.nspname, c.relname, i.indisunique, i.indisprimary,
               regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE (UNIQUE )?INDEX .+? ON ', '')
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'm') AND {_OURS}
    """,
    "functions": f"""
        SELECT n.nspname, p.proname, pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc')
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.prokind = 'f' AND {_USER_SCHEMAS}
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    """,
    "function privileges": f"""
        SELECT n.nspname, p.proname, coalesce(a.grantee::regrole::text, 'PUBLIC'), a.privilege_type
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace,
             aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        WHERE a.grantee <> p.proowner AND {_USER_SCHEMAS}
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    """,
    "triggers": f"""
        SELECT n.nspname, c.relname, t.tgname, t.tgenabled::text, pg_get_triggerdef(t.oid)
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT t.tgisinternal AND {_OURS}
    """,
    "policies": f"""
        SELECT n.nspname, c.relname, p.polname, p.polcmd::text, p.polpermissive,
               ARRAY(SELECT r::regrole::text FROM unnest(p.polroles) r ORDER BY 1),
               pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {_OURS}
    """,
}

Catalog = Mapping[str, frozenset[tuple[Any, ...]]]


def read_catalog(connection: BaseDatabaseWrapper) -> Catalog:
    """Return all that the user-made schemas of a database contain, by kind."""
    with connection.cursor() as cursor:
        found = {}
        for kind, query in QUERIES.items():
            cursor.execute(query)
            found[kind] = frozenset(
                tuple(tuple(value) if isinstance(value, list) else value for value in row) for row in cursor.fetchall()
            )
    return found


def meaning(catalog: Catalog) -> Catalog:
    """Leave out what remembers the past without meaning anything, as Django does too when it renames a table.

    Names of sequences, casts in defaults, and in which order the columns have come that RETURNING * names.
    """
    return {
        **catalog,
        "functions": frozenset((*row[:2], _regardless_of_order(row[2]), row[3]) for row in catalog["functions"]),
        "relations": frozenset(row for row in catalog["relations"] if row[2] != "S"),
        "columns": frozenset(
            (*row[:5], re.sub(r"::[a-z ]+|[()]", "", row[5] or ""), *row[6:]) for row in catalog["columns"]
        ),
    }


def _regardless_of_order(definition: str) -> str:
    """Return the definition of a function with the columns sorted that PostgreSQL has read for `RETURNING *`."""
    return re.sub(r"(?<=RETURNING ).*?(?=;\n)", lambda all_of: str(sorted(all_of[0].split())), definition, flags=re.S)


def differences(left: Catalog, right: Catalog) -> dict[str, dict[str, list[tuple[Any, ...]]]]:
    """Return what only one side has, by kind; empty if both are the same."""
    return {
        kind: {
            "only left": sorted(left[kind] - right[kind], key=repr),
            "only right": sorted(right[kind] - left[kind], key=repr),
        }
        for kind in QUERIES
        if left[kind] != right[kind]
    }
