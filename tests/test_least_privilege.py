"""A DBA runs one script; from then on nobody who migrates, writes or serves has any power over the cluster."""

import os
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.apps.registry import Apps
from django.core.management import CommandError, call_command
from django.db import connections, models
from django.test import override_settings

import pgcraft_django
from pgcraft_django.api import API
from pgcraft_django.conf import get_config
from pgcraft_django.embedded import find_binaries
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftLedger, PGCraftSimple, PGCraftStateMachine
from pgcraft_django.naming import quote_name
from pgcraft_django.objects import Extension, Role
from pgcraft_django.plugins import Balance
from pgcraft_django.policies import OwnerPolicy
from pgcraft_django.postgrest.login import Login
from pgcraft_django.testing import live
from tests.settings import SERVER
from tests.support.databases import administrator, run_sql
from tests.support.served import Served
from tests.support.world import Site, World


@dataclass
class Names:
    """Roles and a database that no other test uses, with a name that needs quotes among them."""

    tag: str = field(default_factory=lambda: secrets.token_hex(4))

    def __post_init__(self) -> None:
        self.database = f"dbname=least 'privilege' {self.tag}"
        self.owner, self.writer = f"Owner {self.tag}", f"wri\"ter' {self.tag}"
        self.authenticator, self.anon, self.web = (f"{kind}_{self.tag}" for kind in ("login", "anon", "web"))
        self.users = [self.owner, self.writer, self.authenticator]
        self.settings = {
            "ROLES": [self.anon, self.web],
            "ANON_ROLE": self.anon,
            "AUTHENTICATOR_ROLE": self.authenticator,
            "DEFAULT_GRANTS": {},
        }

    def alias(self, user: str) -> str:
        return f"{user} {self.tag}"


@dataclass
class Made:
    """A database that a DBA's script has made, with a project's migrations."""

    names: Names
    world: World
    site: Site
    script: str

    def model(self, name: str) -> Any:
        return self.world.apps.get_model("shop", name)


def psql(script: Path) -> str:
    """Run a script as a DBA; return what is said."""
    done = try_psql(script, "--set", "ON_ERROR_STOP=1")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def try_psql(script: Path, *options: str, user: str = "postgres") -> subprocess.CompletedProcess[str]:
    program = next(
        path / "psql" for path in (find_binaries(), *map(Path, os.get_exec_path())) if (path / "psql").exists()
    )
    address = {"PGHOST": str(SERVER.socket_dir), "PGPORT": str(SERVER.port), "PGUSER": user, "PGPASSWORD": "boss"}
    return subprocess.run(
        [str(program), "--no-psqlrc", "--quiet", *options, "--file", str(script), "postgres"],
        env={**os.environ, **address},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def made(django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    names = Names()
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        stack.enter_context(override_settings(PGCRAFT=names.settings))
        path = {"options": "-c search_path=public,private"}
        for user in names.users[:2]:
            entry = {"NAME": names.database, "USER": user, "PASSWORD": "their password", "OPTIONS": path}
            connections.settings[names.alias(user)] = {**connections.settings["default"], **entry}
        out = StringIO()
        call_command(
            "pgcraft_roles",
            database=names.alias(names.owner),
            sql=True,
            owner=names.owner,
            writer=names.writer,
            stdout=out,
        )
        script = tmp_path_factory.mktemp("dba") / "roles.sql"
        script.write_text(out.getvalue())
        try:
            assert psql(script) == ""
            assert psql(script) == ""  # it may be run again
            for user in names.users:
                run_sql(f"ALTER ROLE {quote_name(user)} PASSWORD 'their password'")  # \password
            world, site = World(), Site(names.alias(names.owner))
            site.migrate(world.evolve(lambda apps: declare(apps, names)))
            yield Made(names, world, site, out.getvalue())
        finally:
            for user in names.users[:2]:
                connections[names.alias(user)].close()
                del connections.settings[names.alias(user)]
            run_sql(f"DROP DATABASE IF EXISTS {quote_name(names.database)} WITH (FORCE)")
            for role in (*names.users, names.anon, names.web):
                run_sql(f"DROP ROLE IF EXISTS {quote_name(role)}")


def declare(apps: Apps, names: Names) -> None:
    """Define a model with each factory."""

    def define(name: str, base: type[models.Model], fields: dict[str, Any], **options: Any) -> None:
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": f"{name.lower()}s"})
        api = API(grants={names.anon: ["select"], names.web: ["select", "insert"]})
        inner = type("PGCraft", (), {"api": api, **options})
        type(name, (base,), {"__module__": __name__, "Meta": meta, "PGCraft": inner, **fields})

    text = models.TextField
    define("Note", PGCraftSimple, {"text": text(), "reader": text()}, policies=[OwnerPolicy("reader")])
    define("Pupil", PGCraftAppendOnly, {"name": text()})
    define("Product", PGCraftEAV, {"color": text(null=True)})
    define("Paper", PGCraftEAV, {"reader": text()}, policies=[OwnerPolicy("reader")])
    define("Entry", PGCraftLedger, {"account": text()}, plugins=[Balance(dimensions=["account"], minimum=0)])
    define(
        "Order",
        PGCraftStateMachine,
        {"state": text(default="new")},
        transitions={"new": ["done"]},
        transition_grants={names.web: "all"},
    )


def test_nobody_has_power_over_the_cluster_or_a_way_into_what_is_closed(made: Made) -> None:
    names = made.names
    with administrator(names.database) as boss:
        powers = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
        rows = boss.execute(f"SELECT rolname, ARRAY[{powers}] FROM pg_roles WHERE rolname LIKE %s", [f"%{names.tag}"])
        none = [False] * 5
        assert dict(rows) == {
            **dict.fromkeys((*names.users, names.anon, names.web), none),
            names.writer: [False, False, False, False, True],
        }
        [(acl,)] = boss.execute("SELECT datacl::text[] FROM pg_database WHERE datname = current_database()")
        assert not any(item.startswith("=") for item in acl)  # PUBLIC
        for role in (names.writer, names.authenticator, names.anon, names.web):
            [rights] = boss.execute(
                "SELECT has_database_privilege(%(r)s, current_database(), 'CREATE, TEMPORARY'),"
                " has_schema_privilege(%(r)s, 'public', 'CREATE'), has_schema_privilege(%(r)s, 'private', 'CREATE')",
                {"r": role},
            )
            assert rights == (False, False, False), role
        limits = dict(
            boss.execute(
                "SELECT r.rolname, s.setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole"
                " WHERE setdatabase = 0 AND rolname LIKE %s",
                [f"%{names.tag}"],
            )
        )
    assert set(limits) == {*names.users, names.anon, names.web}
    for role in (names.writer, names.authenticator, names.anon, names.web):
        assert [item.split("=")[0] for item in limits[role]] == [
            "statement_timeout",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
        ]
    stranger = f"stranger_{names.tag}"
    run_sql(f"CREATE ROLE {stranger} LOGIN PASSWORD 'stranger'")
    try:
        with pytest.raises(psycopg.OperationalError, match="CONNECT"):
            psycopg.connect(
                host=str(SERVER.socket_dir),
                port=SERVER.port,
                user=stranger,
                password="stranger",
                dbname=names.database,
            )
    finally:
        run_sql(f"DROP ROLE {stranger}")


def test_the_writer_works_with_each_factory_and_changes_no_table(made: Made) -> None:
    using = made.names.alias(made.names.writer)
    note = made.model("Note").objects.using(using).create(text="a", reader="1")
    note.text = "b"
    note.save()
    assert made.model("Note").objects.using(using).get().text == "b"  # policies are for requests
    pupil = made.model("Pupil").objects.using(using).create(name="a")
    pupil.name = "b"
    pupil.save()
    assert [version.name for version in pupil.history.using(using)] == ["a"]
    product = made.model("Product").objects.using(using).create(color="red")
    product.color = "blue"
    product.save()
    assert made.model("Product").objects.using(using).get().color == "blue"
    paper = made.model("Paper").objects.using(using).create(reader="1")
    paper.reader = "2"
    paper.save()
    assert [line.operation for line in paper.history.using(using)] == ["insert", "update"]
    assert made.model("Paper").objects.using(using).filter(reader="2").delete()[0] == 1
    made.model("Entry").objects.using(using).create(value=5, account="a")
    order = made.model("Order").objects.using(using).create()
    order.state = "done"
    order.save()
    assert made.model("Order").objects.using(using).get().state == "done"
    with pgcraft_django.as_role(made.names.web, claims={"sub": "1"}, using=using):
        assert made.model("Note").objects.using(using).count() == 1
    with pgcraft_django.as_role(made.names.web, claims={"sub": "2"}, using=using):
        assert made.model("Note").objects.using(using).count() == 0
    stamps = "1, 9, now(), now(), 'update'"
    for statement in (
        f"INSERT INTO pupils_history (id, version, valid_from, valid_to, operation) VALUES ({stamps})",
        "INSERT INTO products_attribute (id, attribute, at, operation) VALUES (1, 'color', now(), 'update')",
    ):
        with pytest.raises(Exception, match="only triggers write it"), connections[using].cursor() as cursor:
            cursor.execute(statement)
    for table in ("products_attribute", "orders_transition"):
        with pytest.raises(Exception, match="never changed or removed"), connections[using].cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET former = true")
    for statement in ("ALTER TABLE notes ADD x int", "DROP TABLE notes", "TRUNCATE notes", "CREATE TABLE x (y int)"):
        with pytest.raises(Exception, match=r"permission denied|must be owner"), connections[using].cursor() as cursor:
            cursor.execute(statement)


def test_the_api_of_a_plain_owner_is_served(made: Made) -> None:
    names, secret = made.names, secrets.token_urlsafe(32)
    place = {"host": str(SERVER.socket_dir), "port": str(SERVER.port), "dbname": names.database}
    login = Login({**place, "user": names.authenticator}, "their password")
    with live.serve(login, made.site.alias, secret, None) as api, httpx.Client(base_url=api.url) as client:
        served = Served(made.site.alias, client, client, secret)
        token = served.token(role=names.web, sub="1")
        created = client.post("/notes", json={"text": "mine", "reader": "1"}, headers=token)
        assert created.status_code == 201, created.text
        assert client.post("/notes", json={"text": "forged", "reader": "2"}, headers=token).status_code == 403
        assert client.get("/notes").json() == []
        assert client.post("/notes", json={"text": "x", "reader": "1"}).status_code == 401


def untrusted_extension() -> str:
    """Return an extension of this server that only a superuser may make."""
    with administrator() as connection:
        found = connection.execute(
            "SELECT name FROM pg_available_extension_versions"
            " WHERE superuser AND NOT trusted AND NOT installed AND cardinality(requires) IS NULL ORDER BY name"
        ).fetchone()
    assert found
    return str(found[0])


@pytest.mark.parametrize("kind", ["role", "extension"])
def test_what_a_plain_owner_may_not_is_told_with_the_sql_for_a_dba(made: Made, kind: str) -> None:
    item: Any = Role(name="nobody_made_me") if kind == "role" else Extension(name=untrusted_extension())
    statement = f'CREATE {kind.upper()} "{item.name}"{" NOLOGIN NOINHERIT" if kind == "role" else ""};'
    with (
        pytest.raises(pgcraft_django.errors.MigrationError) as refused,
        connections[made.site.alias].schema_editor() as editor,
    ):
        pgcraft_django.operations.Create([item]).database_forwards("shop", editor, made.site.state, made.site.state)
    assert statement in str(refused.value)
    assert "DBA" in str(refused.value)


def test_a_database_of_another_role_is_left_alone_until_it_is_given_away(unblocked: None, tmp_path: Path) -> None:
    names, out = Names(), StringIO()
    database = quote_name(names.database)
    entry = {**connections.settings["default"], "NAME": names.database}
    connections.settings[names.tag] = entry
    run_sql(f"CREATE DATABASE {database}")
    try:
        with override_settings(PGCRAFT=names.settings):
            call_command("pgcraft_roles", database=names.tag, sql=True, owner=names.owner, stdout=out)
        script = tmp_path / "roles.sql"
        script.write_text(out.getvalue())
        refused = try_psql(script)
        assert refused.returncode == 3
        assert f'The database {database} belongs to the role postgres, not to "{names.owner}".' in refused.stderr
        [line] = re.findall(r"run (ALTER DATABASE .*?), and", refused.stderr)
        with administrator() as boss:
            said = (
                "SELECT datacl, (SELECT count(*) FROM pg_roles WHERE rolname = %s) FROM pg_database WHERE datname = %s"
            )
            assert boss.execute(said, [names.anon, names.database]).fetchall() == [(None, 0)]
        run_sql(line)
        assert psql(script) == ""
    finally:
        del connections.settings[names.tag]
        run_sql(f"DROP DATABASE {database}")
        for role in (*names.users, names.anon, names.web):
            run_sql(f"DROP ROLE IF EXISTS {quote_name(role)}")


@pytest.fixture
def script(unblocked: None, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """What writes the script of a project with names of its own, which are cleared away afterwards."""
    used: list[Names] = []

    def write(names: Names, **options: str) -> Path:
        used.append(names)
        connections.settings[names.tag] = {**connections.settings["default"], "NAME": names.database}
        path, out = tmp_path / f"{names.tag}.sql", StringIO()
        with override_settings(PGCRAFT=names.settings):
            call_command("pgcraft_roles", database=names.tag, sql=True, stdout=out, **options)
        path.write_text(out.getvalue())
        return path

    yield write
    for names in used:
        del connections.settings[names.tag]
        run_sql(f"DROP DATABASE IF EXISTS {quote_name(names.database)}")
        for role in (*names.users, names.anon, names.web):
            run_sql(f"DROP ROLE IF EXISTS {quote_name(role)}")


@pytest.fixture
def boss(unblocked: None) -> Iterator[str]:
    """Who a provider of databases lets be the most."""
    name = f"boss_{secrets.token_hex(4)}"
    run_sql(f"CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD 'boss'")
    yield name
    run_sql(f"DROP ROLE {name}")


def there(*names: str) -> list[str]:
    """Return which of the names are those of roles or databases."""
    with administrator() as connection:
        found = connection.execute("SELECT rolname FROM pg_roles UNION ALL SELECT datname FROM pg_database").fetchall()
    return [name for name in names if (name,) in found]


def test_who_may_make_roles_runs_the_script_of_the_roles(boss: str, script: Callable[..., Path]) -> None:
    names = Names()
    path = script(names)
    for _ in range(2):
        done = try_psql(path, "--set", "ON_ERROR_STOP=1", user=boss)
        assert (done.returncode, done.stderr) == (0, "")
    assert there(names.authenticator, names.anon, names.web) == [names.authenticator, names.anon, names.web]


def test_who_may_not_make_all_of_a_database_makes_nothing_of_it(boss: str, script: Callable[..., Path]) -> None:
    names = Names()
    done = try_psql(script(names, owner=names.owner, writer=names.writer), user=boss)
    assert done.returncode == 3
    assert f"{boss} is no superuser" in done.stderr
    assert done.stderr.count("ERROR") == 1
    assert there(names.database, *names.users, names.anon, names.web) == []


def test_roles_that_are_there_with_more_power_stay_so_and_are_told(script: Callable[..., Path]) -> None:
    names = Names()
    made = {names.owner: "SUPERUSER NOLOGIN", names.writer: "CREATEROLE LOGIN", names.anon: "BYPASSRLS LOGIN"}
    for name, attributes in {**made, names.authenticator: "REPLICATION LOGIN"}.items():
        run_sql(f"CREATE ROLE {quote_name(name)} {attributes}")
    path = script(names, owner=names.owner, writer=names.writer)
    said = psql(path)
    repairs = re.findall("WARNING: .*? To repair it: (.*;)", said)
    expected = [(names.owner, "NOSUPERUSER"), (names.owner, "LOGIN"), (names.writer, "NOCREATEROLE")]
    expected += [(names.anon, "NOBYPASSRLS"), (names.anon, "NOLOGIN"), (names.authenticator, "NOREPLICATION")]
    assert set(repairs) == {
        f"ALTER ROLE {name if name.isidentifier() else quote_name(name)} {repair};" for name, repair in expected
    }
    for repair in repairs:
        run_sql(repair)
    assert psql(path) == ""


def test_one_role_is_not_two_things() -> None:
    anon, authenticator = get_config().anon_role, get_config().authenticator_role
    for options in ({"owner": anon}, {"owner": "one", "writer": "one"}, {"owner": "one", "writer": authenticator}):
        with pytest.raises(CommandError, match="two things at once"):
            call_command("pgcraft_roles", sql=True, **options)
    with pytest.raises(CommandError, match="needs --owner"):
        call_command("pgcraft_roles", sql=True, writer="one")
    with pytest.raises(CommandError, match="--sql"):
        call_command("pgcraft_roles", owner="one")


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_no_name_breaks_out_of_the_script(settings: Any, end: str) -> None:
    """Comments and psql's own commands end with the line: what comes after it would be SQL."""
    evil = f"a{end}DROP TABLE x;"
    for options in ({"owner": evil}, {"owner": "one", "writer": evil}):
        with pytest.raises(CommandError, match="has a line break"):
            call_command("pgcraft_roles", sql=True, **options)
    settings.PGCRAFT = {"ROLES": ["anon", evil]}
    for options in ({}, {"owner": "one"}):
        with pytest.raises(CommandError, match="has a line break"):
            call_command("pgcraft_roles", sql=True, skip_checks=True, **options)
