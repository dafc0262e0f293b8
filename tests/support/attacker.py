"""A session of somebody hostile, and all that they can put in the way of functions that run as somebody else."""

import re
from typing import Any

import psycopg

from pgcraft_django.naming import quote_name
from tests.support.world import Site

CLAIMS = '{"role": "webuser", "sub": "1", "exp": 9999999999, "sid": "here"}'
POISON = "'; SELECT hostile.canary('a setting'); --"
BASE_TYPES = "bool, bytea, date, float8, int4, int8, interval, jsonb, name, numeric, oid, text, timestamptz, uuid"
DEFINERS = """
    SELECT p.oid, format('%I.%I', n.nspname, p.proname), p.prosrc, p.proconfig
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.prosecdef AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""
HOSTILE_PATH = "pg_temp, hostile, pg_catalog, private, api"


class Attacker:
    """A session of somebody who may switch to each request role, and may make objects of their own."""

    def __init__(self, connection: psycopg.Connection[Any], name: str) -> None:
        self.connection = connection
        self.name = name
        self.heard: list[str] = []
        """Who ran the canary, and from where: `webuser: lower`."""
        self.refused_by: set[str] = set()
        """Names of functions that have ended a statement with an error. PostgreSQL counts only calls that return."""
        connection.add_notice_handler(self._hear)
        connection.execute("SET track_functions = 'all'")
        connection.execute(f"SET SESSION AUTHORIZATION {name}")

    def _hear(self, notice: Any) -> None:
        if notice.message_primary.startswith("canary "):
            self.heard.append(notice.message_primary.removeprefix("canary "))

    def become(self, role: str, *, path: str = "pg_catalog", **settings: str) -> None:
        """Be `role`, as PostgREST is, with this search path and these settings (`__` for a dot)."""
        self.connection.execute("RESET ROLE")
        self.connection.execute(f"SET search_path = {path}")
        for name, value in {"request__jwt__claims": CLAIMS, **settings}.items():
            self.connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name.replace("__", "."), value])
        self.connection.execute(f"SET ROLE {role}")

    def attempt(self, statement: str) -> str:
        """Run a statement; return the SQLSTATE, empty if it went through."""
        try:
            with self.connection.transaction():
                self.connection.execute(statement)
        except psycopg.Error as error:
            self.refused_by.update(re.findall(r"PL/pgSQL function (?:\w+\.)?(\w+)\(", error.diag.context or ""))
            return error.sqlstate or "?"
        return ""

    def ran(self) -> set[int]:
        """Return the functions that this session has called, and that have returned."""
        self.connection.execute("RESET SESSION AUTHORIZATION")
        self.connection.execute("SELECT pg_catalog.pg_stat_force_next_flush()")
        self.connection.execute("SELECT 1")
        return {oid for (oid,) in self.connection.execute("SELECT funcid FROM pg_catalog.pg_stat_user_functions")}

    def copy(self, statement: str) -> str:
        """Run a COPY, of nothing where it wants rows; return the SQLSTATE."""
        try:
            with self.connection.transaction(), self.connection.cursor().copy(statement) as copy:
                if "FROM STDIN" not in statement:
                    list(copy)
        except psycopg.Error as error:
            return error.sqlstate or "?"
        return ""


def look_alikes(site: Site) -> list[str]:
    """Return statements that make, in `hostile`, what bodies of definer functions call and compare with."""
    words = sorted({word for _, _, body, _ in site.query(DEFINERS) for word in re.findall(r"[a-z_0-9]+", str(body))})
    plain = "NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY (array_append({}, {})) AND t.typtype = 'p')"
    functions = site.query(
        "SELECT quote_ident(proname), pg_get_function_identity_arguments(oid), format_type(prorettype, NULL),"
        " (SELECT coalesce(string_agg('$' || i, ', '), '') FROM generate_series(1, pronargs) i)"
        " FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset"
        f" AND provariadic = 0 AND proname = ANY (%s) AND {plain.format('proargtypes::oid[]', 'prorettype')}",
        [words],
    )
    operators = site.query(
        "SELECT oid, oprname, format_type(oprleft, NULL), format_type(oprright, NULL), format_type(oprresult, NULL)"
        " FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace"
        " AND oprleft = ANY (%(types)s::regtype[]) AND oprright = ANY (%(types)s::regtype[])",
        {"types": BASE_TYPES.split(", ")},  # type: ignore[arg-type]
    )
    body = "LANGUAGE plpgsql AS $body$ BEGIN PERFORM hostile.canary({}); RETURN {}; END $body$"
    made = []
    for name, arguments, result, given in functions:
        text = body.format(f"'{name}'", f"pg_catalog.{name}({given})")
        made.append(f"CREATE FUNCTION hostile.{name}({arguments}) RETURNS {result} {text}")
    for number, name, left, right, result in operators:
        text = body.format(f"'{name}'", f"$1 OPERATOR(pg_catalog.{name}) $2")
        made.append(f"CREATE FUNCTION hostile.o{number}({left}, {right}) RETURNS {result} {text}")
        made.append(f"CREATE OPERATOR hostile.{name} (FUNCTION = o{number}, LEFTARG = {left}, RIGHTARG = {right})")
    assert {"now", "lower", "current_setting"} & {name for name, *_ in functions}
    assert {"=", "||", "<"} <= {name for _, name, *_ in operators}
    return made


def set_traps(attacker: Attacker, site: Site) -> None:
    """Put functions, operators, casts, temporary types and tables in the way of who looks names up."""
    attacker.become(attacker.name, path="hostile, pg_catalog")
    for statement in look_alikes(site):
        attacker.connection.execute(statement)
    for name in BASE_TYPES.split(", "):
        attacker.connection.execute(
            f"CREATE DOMAIN pg_temp.{name} AS pg_catalog.{name} CHECK (hostile.canary('a type') OR VALUE IS NULL)"
        )
        attacker.connection.execute(f"GRANT USAGE ON TYPE pg_temp.{name} TO PUBLIC")
    attacker.connection.execute("CREATE TYPE hostile.trap AS ENUM ('x')")
    for number, name in enumerate(BASE_TYPES.split(", ")):
        attacker.connection.execute(
            f"CREATE FUNCTION hostile.cast{number}(hostile.trap) RETURNS pg_catalog.{name} LANGUAGE plpgsql"
            " AS $$ BEGIN PERFORM hostile.canary('a cast'); RETURN NULL; END $$"
        )
        attacker.connection.execute(
            f"CREATE CAST (hostile.trap AS pg_catalog.{name}) WITH FUNCTION hostile.cast{number} AS IMPLICIT"
        )
    for (name,) in site.query(
        "SELECT DISTINCT relname FROM pg_class WHERE relkind IN ('r', 'v') AND relname !~ '^pg_'"
        " AND relnamespace IN ('private'::regnamespace, 'api'::regnamespace)"
    ):
        table = f"pg_temp.{quote_name(str(name))}"
        attacker.connection.execute(f"CREATE TABLE {table} (id bigint DEFAULT 1, trap hostile.trap DEFAULT 'x')")
        attacker.connection.execute(f"INSERT INTO {table} DEFAULT VALUES")
        attacker.connection.execute(f"GRANT ALL ON {table} TO PUBLIC")
