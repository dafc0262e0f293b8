"""Ledgers in partitions: nothing that a ledger promises is lost by them, and no entry either."""

import datetime
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.apps.registry import Apps
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, OperationalError, connections, models, transaction
from django.db.migrations.state import AppConfigStub
from psycopg import IsolationLevel

from pgcraft_django.api import API
from pgcraft_django.drift.comparing import differences as drift
from pgcraft_django.drift.reading import read_catalog
from pgcraft_django.drift.rereading import as_read_again
from pgcraft_django.errors import IdempotencyConflict, MigrationError
from pgcraft_django.factories.ledger import partitions as making
from pgcraft_django.factories.ledger import verifying
from pgcraft_django.factories.ledger.checks import check_ledger
from pgcraft_django.factories.ledger.partitions import make_partitions
from pgcraft_django.lifecycle.script import REQUEST_LIMITS
from pgcraft_django.management.commands import pgcraft_ledger_partitions
from pgcraft_django.plugins import Balance, DoubleEntry
from tests.ledger.conftest import Store, new_store
from tests.ledger.stock import KEPT, declare
from tests.support.catalog import differences, meaning
from tests.support.databases import administrator, as_administrator, wait_until_blocked
from tests.support.dumps import hashes, run_tool
from tests.support.world import World, new_site

NOW = datetime.datetime.now(datetime.UTC)
TABLES = ["inventory", "inventory_balance", "inventory_key"]


@pytest.fixture(scope="module")
def kept(django_db_blocker: Any) -> Iterator[Store]:
    """A ledger with entries of two years, in partitions and in the default one."""
    with (
        django_db_blocker.unblock(),
        new_store(partition_by="month", idempotency=True, api=API(grants={"webuser": "all"})) as store,
    ):
        book_long_ago(store, "2024-03-05", "2025-07-01")
        make_partitions(store.model, store.site.alias)
        book_long_ago(store, "2023-01-01")
        store.add(5)
        yield store


def book_long_ago(store: Store, *days: str) -> None:
    """Let entries come as from a dump, which brings its times."""
    store.query("SET row_security = off; SET check_function_bodies = off")
    for day in days:
        store.query(
            "INSERT INTO inventory (value, warehouse, sku, created_at, idempotency_key) VALUES (7, 'A', 'x', %s, %s)",
            f"{day} 12:00Z",
            day,
        )
    store.query("RESET row_security; RESET check_function_bodies")


def partitions(store: Store) -> list[str]:
    rows = store.query(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'inventory'::regclass ORDER BY 1"
    )
    return [name for (name,) in rows]


def with_rows(store: Store) -> set[str]:
    return {name for (name,) in store.query("SELECT DISTINCT tableoid::regclass::text FROM inventory")}


def test_each_entry_is_in_the_partition_of_its_time_and_no_partition_is_made_for_none(kept: Store) -> None:
    months = [f"{NOW.year + (NOW.month + step) // 12}{(NOW.month + step) % 12 + 1:02}01" for step in range(-1, 2)]
    coming = [f"inventory_p{month}" for month in months]
    past = ["inventory_p20240301", "inventory_p20250701"]
    assert partitions(kept) == sorted(["inventory_default", *past, *coming])
    assert with_rows(kept) == {"inventory_default", *past, coming[0]}
    assert kept.balances() == kept.sums() == {("A", "x"): 26}
    assert kept.entries.verify(full=True) == []


@pytest.mark.parametrize("verb", ["UPDATE {} SET value = 9", "DELETE FROM {}", "TRUNCATE {}"])
def test_no_partition_is_changed_by_its_owner_neither(kept: Store, verb: str) -> None:
    for table in ("inventory", *with_rows(kept)):
        said = r"of private\.inventory is refused" + ("" if table == "inventory" else "|is a partition of inventory")
        with pytest.raises(IntegrityError, match=said):
            kept.query(verb.format(table))


def test_nothing_gets_into_a_partition_past_the_balances(kept: Store) -> None:
    for table in partitions(kept):
        for settings in ("SELECT 1", "SET row_security = off; SET check_function_bodies = off"):
            kept.query(settings)
            with pytest.raises(IntegrityError, match="it is a partition of inventory"):
                kept.query(f"INSERT INTO {table} (value, warehouse) VALUES (1, 'A')")
            kept.query("RESET row_security; RESET check_function_bodies")


def test_id_and_time_are_not_for_the_client_to_give(kept: Store) -> None:
    with pytest.raises(DatabaseError, match="non-DEFAULT value into column"):
        kept.query("INSERT INTO inventory (id, value, warehouse) VALUES (1, 1, 'A')")
    for when in ("2000-01-01", "infinity", None):
        with pytest.raises(
            IntegrityError, match="An entry of inventory comes with a created_at, which PostgreSQL sets"
        ):
            kept.query("INSERT INTO inventory (value, warehouse, created_at) VALUES (1, 'A', %s)", when)
    assert kept.query("SELECT count(*) = count(DISTINCT id) FROM inventory") == [(True,)]


def test_a_key_is_that_of_one_entry_whatever_partition_it_is_in(kept: Store) -> None:
    before = kept.sums()
    again = kept.entries.record(warehouse="A", sku="x", value=Decimal(7), idempotency_key="2024-03-05")
    assert again.created_at.year == 2024
    assert kept.sums() == before
    with pytest.raises(IdempotencyConflict, match="belongs to another entry of inventory"):
        kept.entries.record(warehouse="A", sku="x", value=8, idempotency_key="2023-01-01")


def test_a_broken_constraint_is_told_by_the_name_of_the_partition_which_begins_with_the_ledgers(kept: Store) -> None:
    """PostgreSQL finds it where the row is to go; docs/ledger.md says so."""
    place = "inventory_(default|p[0-9]{8})"
    with pytest.raises(IntegrityError, match=f'null value in column "value" of relation "{place}" violates'):
        kept.add(None)
    with pytest.raises(IntegrityError, match=f'relation "{place}" violates check constraint "inventory_value"'):
        kept.add(Decimal("NaN"))


def test_a_repetition_is_looked_for_in_the_partition_of_its_entry(kept: Store) -> None:
    insert = "INSERT INTO inventory (value, warehouse, sku, idempotency_key) VALUES (7, 'A', 'x', '2024-03-05')"

    def read() -> list[str]:
        rows = kept.query(
            "SELECT relname FROM pg_stat_xact_user_tables"
            " WHERE relname LIKE 'inventory\\_%%' AND relname !~ 'balance|key' AND seq_scan + idx_scan > 0 ORDER BY 1"
        )
        return [name for (name,) in rows]

    kept.query("SELECT pg_stat_force_next_flush()")  # what was read before does not count
    with transaction.atomic(using=kept.site.alias):
        for _ in range(8):  # until PostgreSQL keeps a plan
            kept.query(insert)
        assert read() == ["inventory_p20240301"]
        kept.entries.record(warehouse="A", sku="x", value=7, idempotency_key="2024-03-05")
        days = (NOW + datetime.timedelta(days=step) for step in (-1, 0, 1))
        assert {*read()} <= {"inventory_p20240301", *(f"inventory_p{day:%Y%m}01" for day in days)}


def test_the_minimum_holds_across_partitions(kept: Store) -> None:
    [(balance,)] = kept.query("SELECT balance FROM inventory_balance")
    with pytest.raises(IntegrityError, match="cannot fall below 0"):
        kept.add(-balance - 1)


def test_roles_reach_no_partition(kept: Store) -> None:
    granted = kept.query(
        "SELECT c.relname FROM pg_class c, aclexplode(c.relacl) a WHERE c.relispartition AND a.grantee <> c.relowner"
    )
    assert granted == []
    closed = kept.query("SELECT bool_and(relrowsecurity) FROM pg_class WHERE relispartition AND relkind = 'r'")
    assert closed == [(True,)]


def test_default_privileges_open_no_partition(unblocked: None) -> None:
    with new_store(partition_by="day") as store:
        store.query("ALTER DEFAULT PRIVILEGES IN SCHEMA private GRANT ALL ON TABLES TO webuser")
        make_partitions(store.model, store.site.alias, 1)
        test_roles_reach_no_partition(store)


def test_a_question_about_a_time_reads_the_partitions_of_that_time(kept: Store) -> None:
    def read(rows: Any) -> set[str]:
        return set(re.findall(r"on (inventory_\w+)", rows.explain()))

    then = datetime.datetime(2024, 3, 20, tzinfo=datetime.UTC)
    assert read(kept.entries.as_of(then)) == {"inventory_p20240301", "inventory_default"}
    month = kept.entries.filter(created_at__gte=then, created_at__lt=then + datetime.timedelta(days=3))
    assert read(month.rollup("day")) == {"inventory_p20240301"}
    assert kept.entries.as_of(then).balance() == 14
    assert [row["entries"] for row in kept.entries.rollup("year")] == [1, 1, 1, 1]
    running = [row.running_balance for row in kept.entries.filter(warehouse="A", sku="x").running_balance()]
    assert sorted(running) == [7, 14, 21, 26]


def test_entries_in_the_default_partition_move_to_their_own_while_others_book(unblocked: None) -> None:
    with new_store(partition_by="day") as store:
        for _ in range(5):
            store.add(5)
        assert with_rows(store) == {"inventory_default"}
        before = hashes(store.site, ["inventory", "inventory_balance"])

        def work(number: int) -> list[str]:
            with administrator(store.database) as connection:
                connection.execute("SET search_path = private")
                if number % 2:
                    for _ in range(20):
                        connection.execute("INSERT INTO inventory (value, warehouse, sku) VALUES (1, 'B', 'x')")
                    return []
                return [name for (name,) in connection.execute("SELECT inventory_partitions(3)").fetchall()]

        with ThreadPoolExecutor(8) as pool:
            made = [name for names in pool.map(work, range(8)) for name in names]
        assert len(made) == len(set(made)) == 4
        assert with_rows(store) == {min(partitions(store), key=lambda name: (name == "inventory_default", name))}
        assert store.sums() == store.balances() == {("A", "x"): 25, ("B", "x"): 80}
        assert make_partitions(store.model, store.site.alias, 3) == []
        store.query("SELECT 1")
        assert hashes(store.site, ["inventory"])["inventory"][0] == before["inventory"][0] + 80
        with pytest.raises(IntegrityError, match="never changed or removed"):
            store.query("DELETE FROM inventory")


def test_entries_of_many_periods_are_not_all_read_for_each(unblocked: None) -> None:
    with new_store(partition_by="day") as store, transaction.atomic(using=store.site.alias):
        store.query("SET LOCAL row_security = off; SET LOCAL check_function_bodies = off")
        store.query(
            "INSERT INTO inventory (value, warehouse, sku, created_at)"
            " SELECT 1, 'A', 'x', now() - n % 20 * interval '1 day' FROM generate_series(1, 2000) AS n"
        )
        catalog = store.site.catalog()
        assert len(make_partitions(store.model, store.site.alias, 0)) == 20
        [[read]] = store.query("SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'inventory_default'")
        assert read < 5 * 2000
        assert "inventory_default" not in with_rows(store)
        assert not any(found["only left"] for found in differences(catalog, store.site.catalog()).values())


def test_who_waits_for_entries_that_move_reads_all_of_them(unblocked: None) -> None:
    with new_store(partition_by="day") as store, administrator(store.database) as maker:
        store.add(5)

        def read() -> list[tuple[Any, ...]]:
            with administrator(store.database) as reader:
                return reader.execute("SELECT sum(value) FROM private.inventory").fetchall()

        maker.execute("BEGIN; SET search_path = private; SELECT inventory_partitions(0)")
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read)
            wait_until_blocked(reading, store.database)
            maker.execute("COMMIT")
            assert reading.result() == [(5,)]


def test_an_entry_that_was_waited_for_moves_too_in_a_project_that_is_stricter(unblocked: None) -> None:
    with new_store(partition_by="day") as store, administrator(store.database) as other:
        settings = connections[store.site.alias].settings_dict
        connections[store.site.alias].close()
        settings["OPTIONS"]["isolation_level"] = IsolationLevel.SERIALIZABLE.value

        def make() -> list[str]:
            try:
                return make_partitions(store.model, store.site.alias, 0)
            finally:
                connections[store.site.alias].close()

        other.execute("BEGIN; INSERT INTO private.inventory (value, warehouse, sku) VALUES (5, 'A', 'x')")
        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(make)
            wait_until_blocked(making, store.database)
            other.execute("COMMIT")
            [made] = making.result()
        assert with_rows(store) == {made}


def test_a_ledger_with_entries_becomes_partitioned_and_whole_again(unblocked: None) -> None:
    fields = {"note": models.TextField(null=True, db_comment="It stays with the former table.")}
    whole: dict[str, Any] = {"idempotency": True, "plugins": [DoubleEntry(), Balance(["warehouse"])], "fields": fields}
    with new_store(**whole) as store, new_site() as straight:
        legs = [{"warehouse": name, "value": 4, "direction": way} for name, way in (("A", "debit"), ("B", "credit"))]
        store.entries.record(legs, idempotency_key="k")
        rows, catalog = hashes(store.site, TABLES), store.site.catalog()
        store.evolve(lambda apps: declare(apps, **whole, partition_by="month"))
        straight.migrate(store.world.order)
        assert store.site.drift(straight) == []
        assert hashes(store.site, TABLES) == rows
        assert with_rows(store) == {"inventory_before"}
        make_partitions(store.model, store.site.alias)
        last = store.entries.record(legs)[-1]
        assert last.pk == 4
        assert store.entries.verify(full=True) == []
        with pytest.raises(IntegrityError, match="is refused"):
            store.query("TRUNCATE inventory_before")
        rows = hashes(store.site, TABLES)
        store.site.unmigrate()
        assert hashes(store.site, TABLES) == rows
        assert differences(meaning(store.site.catalog()), meaning(catalog)) == {}
        [(sequence,)] = store.query("SELECT pg_sequence_last_value(pg_get_serial_sequence('inventory', 'id'))")
        assert sequence == 4
        store.site.migrate(store.world.order)
        store.evolve(lambda apps: declare(apps, **whole))
        assert hashes(store.site, TABLES) == rows
        assert differences(meaning(store.site.catalog()), meaning(catalog)) == {}


def test_an_index_that_came_back_with_other_casts_is_no_drift(unblocked: None) -> None:
    """It is made anew from what PostgreSQL has printed, which PostgreSQL reads otherwise: `IN` over a varchar."""
    index = models.Index(fields=["code"], condition=models.Q(code__in=["a", "b"]), name="inventory_among")
    whole: dict[str, Any] = {"fields": {"code": models.CharField(max_length=9)}, "indexes": [index]}
    with new_store(**whole) as store, new_site() as straight:
        straight.migrate(store.world.order)
        store.evolve(lambda apps: declare(apps, **whole, partition_by="month"))
        store.site.unmigrate()
        here, wanted = connections[store.site.alias], connections[straight.alias]
        found, expected = (read_catalog(connection, ["private"], []) for connection in (here, wanted))
        assert [item.kind for item in drift(expected, found)] == ["index"]
        assert drift(as_read_again(wanted, expected, found, ["private"], []), found) == []


def test_step_by_step_is_the_same_as_at_once(unblocked: None) -> None:
    table = "In Stock, 'größe'"

    def last(apps: Apps) -> None:
        meta = type("Meta", (), {"apps": apps, "app_label": "shop"})
        type("Order", (models.Model,), {"__module__": __name__, "Meta": meta})
        order = models.ForeignKey("shop.Order", models.PROTECT, null=True)
        fields = {"order": order, "größe": models.IntegerField(default=1, db_comment="It's new", db_index=True)}
        declare(apps, table=table, fields=fields, partition_by="week")

    with new_store(table=table) as store, new_site() as direct:
        store.evolve(lambda apps: declare(apps, table=table, partition_by="year"))
        store.evolve(last)
        world = World()
        direct.migrate(world.evolve(last))
        assert differences(meaning(store.site.catalog()), meaning(direct.catalog())) == {}
        store.entries.record(warehouse="A", value=1)
        assert len(make_partitions(store.model, store.site.alias, 1)) == 2
        assert store.entries.verify(full=True) == []


def test_another_interval_goes_on_where_the_last_partition_ends(unblocked: None) -> None:
    with new_store(partition_by="year") as store:
        make_partitions(store.model, store.site.alias, 0)
        [made] = store.evolve(lambda apps: declare(apps, partition_by="quarter"))
        assert [type(operation).__name__ for operation in made.operations] == ["Replace"]
        assert make_partitions(store.model, store.site.alias, 0) == []
        year = NOW.year
        expected = [f"inventory_p{year}0101", f"inventory_p{year + 1}0101"]
        assert sorted({*partitions(store), *make_partitions(store.model, store.site.alias, 4)})[1:3] == expected


def test_a_partitioned_table_stays_where_it_is(unblocked: None) -> None:
    with new_store(partition_by="year") as store:
        for options in ({"table": "renamed"}, {"schema": "other"}):
            store.world.declare(lambda apps, options=options: declare(apps, partition_by="year", **options))  # type: ignore[misc]
            with pytest.raises(MigrationError, match="cannot be renamed or moved"):
                store.world.detect()


def test_balances_outlive_a_partition_that_is_taken_off(unblocked: None) -> None:
    with new_store(partition_by="month") as store:
        book = "INSERT INTO inventory (value, warehouse, sku, created_at) VALUES (7, 'A', 'x', '2024-03-05')"
        store.query("SET row_security = off; SET check_function_bodies = off")
        store.query(book)
        store.query("RESET ALL")
        make_partitions(store.model, store.site.alias)
        store.query("SET search_path = public, private")
        assert store.entries.checkpoint() == []
        store.query("ALTER TABLE inventory DETACH PARTITION inventory_p20240301")
        store.add(1)
        assert store.entries.balance(warehouse="A", sku="x") == 8
        assert store.entries.verify() == []
        for statement in ("DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"):
            store.query(statement.format("inventory_p20240301"))
        assert store.entries.balance(warehouse="A", sku="x") == 8


@pytest.mark.parametrize("options", [(), ("--inserts",)])
def test_dumps_bring_back_partitioned_ledgers(kept: Store, options: tuple[str, ...], tmp_path: Path) -> None:
    before, script = hashes(kept.site, TABLES), tmp_path / "script.sql"
    restore = ("psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={script}")
    run_tool("pg_dump", kept.site, *options, f"--file={script}")
    with new_site() as whole:
        run_tool(restore[0], whole, *restore[1:])
        assert hashes(whole, TABLES) == before
        assert whole.catalog() == kept.site.catalog()
    # Before 17, pg_dump does not know by a partition that ids are given by the table, and leaves out OVERRIDING.
    [(knows,)] = kept.query("SELECT current_setting('server_version_num')::int >= 170000")
    options = options if knows else ()
    run_tool("pg_dump", kept.site, "--data-only", "--load-via-partition-root", *options, f"--file={script}")
    with new_site() as empty:
        empty.migrate(kept.site.applied)
        run_tool(restore[0], empty, *restore[1:])
        assert hashes(empty, TABLES) == before
        empty.query("SELECT private.inventory_partitions(1)")
        assert hashes(empty, TABLES) == before
    if not options:
        run_tool("pg_dump", kept.site, "--format=custom", "--load-via-partition-root", f"--file={script}")
        with new_site() as empty:
            empty.migrate(kept.site.applied)
            run_tool("pg_restore", empty, "--exit-on-error", "--data-only", script)
            assert hashes(empty, TABLES) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partition_by": "fortnight"}, "'fortnight', which is no period"),
        ({"table": "t" * 54}, "too long"),
        ({"fields": {"sku": models.TextField(unique=True)}}, "cannot be unique across partitions"),
        ({"fields": {"id": models.BigIntegerField(primary_key=True)}}, "one that PostgreSQL counts up"),
    ],
)
def test_what_partitions_do_not_allow_is_said_by_a_check(options: dict[str, Any], message: str) -> None:
    apps = Apps()
    model = declare(apps, **{"partition_by": "month", "plugins": [KEPT], **options})
    [found] = check_ledger(model)
    assert (found.id, message in found.msg) == ("pgcraft_django.E099", True), found


@pytest.mark.parametrize(
    "field",
    [
        models.ForeignKey("shop.Inventory", models.PROTECT),
        models.ForeignKey("shop.Inventory", models.PROTECT, related_name="+"),
        models.OneToOneField("shop.Inventory", models.PROTECT),
        models.ManyToManyField("shop.Inventory"),
    ],
)
def test_a_foreign_key_to_a_partitioned_ledger_is_said_by_a_check(field: Any) -> None:
    apps = Apps([AppConfigStub("shop")])
    model = declare(apps, partition_by="month")
    meta = type("Meta", (), {"apps": apps, "app_label": "shop"})
    fields = {"__module__": __name__, "Meta": meta, "leg": field.clone()}
    type("Note", (models.Model,), fields)
    [found] = check_ledger(model)
    assert (found.id, "shop.Note.leg" in found.msg) == ("pgcraft_django.E099", True)
    assert found.hint == "Write db_constraint=False in leg = …"


@pytest.mark.django_db
def test_the_command_passes_by_a_ledger_that_is_not_migrated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    later = declare(Apps(), table="later", partition_by="month")
    monkeypatch.setattr(pgcraft_ledger_partitions, "partitioned_ledgers", lambda: [later])
    call_command("pgcraft_ledger_partitions")
    assert "Inventory is not partitioned in this database so far. Run: manage.py migrate" in capsys.readouterr().err
    settings.DATABASE_ROUTERS = [Elsewhere()]
    call_command("pgcraft_ledger_partitions")
    assert capsys.readouterr() == ("", "")


class Elsewhere:
    """A router that lets no ledger in."""

    def allow_migrate(self, *arguments: Any, **hints: Any) -> bool:
        return False


def test_partitions_wait_briefly_for_who_reads_all_of_the_ledger(
    unblocked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "PATIENCE", "50ms")
    late = "shop.Inventory has no new partitions: canceling statement due to lock timeout."
    with new_store(partition_by="month") as store, administrator(store.database) as reader:
        for module in (making, pgcraft_ledger_partitions):
            monkeypatch.setattr(module, "partitioned_ledgers", lambda: [store.model])
        store.query("SET statement_timeout = '5s'")  # for what would wait for ever
        reader.execute("BEGIN; SELECT FROM private.inventory")
        said = io.StringIO()
        making.make_partitions_after_migrate(store.site.alias, stdout=said)
        assert f"Warning: {late} Nothing is lost: run manage.py pgcraft_ledger_partitions." in said.getvalue()
        with pytest.raises(CommandError, match=re.escape(late)):
            call_command("pgcraft_ledger_partitions", database=store.site.alias)
        with pytest.raises(OperationalError, match="lock timeout"):
            store.query("SELECT inventory_partitions(2)")
        store.add(1)
        reader.execute("COMMIT")
        making.make_partitions_after_migrate(store.site.alias)
        assert len(partitions(store)) == 4


def test_who_may_not_make_partitions_is_told_who_may(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the writer, with whose rights a cron job may run; `migrate` with nothing to do still ends well."""
    for module in (making, pgcraft_ledger_partitions):
        monkeypatch.setattr(module, "partitioned_ledgers", lambda: [kept.model])
    denied = "permission denied for function inventory_partitions. Only the owner of the tables makes them."
    said = io.StringIO()
    with as_administrator(kept.site.alias) as alias, connections[alias].cursor() as cursor:
        cursor.execute("SET ROLE pg_read_all_data")
        making.make_partitions_after_migrate(alias, stdout=said)
        assert denied in said.getvalue()
        with pytest.raises(CommandError, match=re.escape(denied)):
            call_command("pgcraft_ledger_partitions", database=alias)
        cursor.execute("RESET ROLE; SET default_transaction_read_only = on")
        with pytest.raises(CommandError, match="cannot execute CREATE TABLE in a read-only transaction"):
            call_command("pgcraft_ledger_partitions", ahead=20, database=alias)


@pytest.mark.parametrize("patience", [making.PATIENCE, verifying.PATIENCE])
def test_a_request_that_waits_behind_partitions_or_a_checkpoint_gets_its_turn(patience: str) -> None:
    assert float(patience.removesuffix("s")) < float(REQUEST_LIMITS["lock_timeout"].removesuffix("s"))


def test_coming_partitions_are_made_while_others_book_and_read(kept: Store) -> None:
    book = "INSERT INTO private.inventory (value, warehouse, sku) VALUES (1, 'B', 'x')"
    patient = "SET search_path = private; SET lock_timeout = '100ms'; BEGIN"
    with administrator(kept.database) as before, administrator(kept.database) as maker:
        before.execute(f"{patient}; {book}")
        maker.execute(patient)
        assert len(maker.execute("SELECT inventory_partitions(5)").fetchall()) == 3
        with administrator(kept.database) as after:
            after.execute(f"{patient}; {book.replace('B', 'C')}")
            this_month = [NOW.replace(day=1), datetime.datetime.now(datetime.UTC)]
            read = after.execute("SELECT sum(value) FROM inventory WHERE created_at BETWEEN %s AND %s", this_month)
            assert read.fetchone() == (6,)
            assert after.execute("SELECT sum(balance) FROM inventory_balance").fetchone() == (27,)
            after.execute("ROLLBACK")
        maker.execute("ROLLBACK")
        before.execute("ROLLBACK")


def test_who_alters_the_ledger_and_who_makes_partitions_do_not_deadlock(kept: Store) -> None:
    with administrator(kept.database) as other, administrator(kept.database) as maker, ThreadPoolExecutor(1) as pool:
        for connection in (other, maker):
            connection.execute("SET search_path = private; BEGIN")
        other.execute("LOCK TABLE ONLY inventory")
        made = pool.submit(maker.execute, "SELECT inventory_partitions(5)")
        wait_until_blocked(made, kept.database)
        other.execute("SET LOCAL lock_timeout = '100ms'; LOCK TABLE inventory; COMMIT")
        assert len(made.result().fetchall()) == 3
        maker.execute("ROLLBACK")


def test_a_test_run_may_empty_all_partitions(unblocked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`TransactionTestCase` does, after each test, also those that were made after the migrations."""
    with new_store(partition_by="day") as store:
        settings = connections[store.site.alias].settings_dict
        monkeypatch.setitem(settings, "TEST", {"NAME": settings["NAME"]})
        store.add(5)
        assert make_partitions(store.model, store.site.alias, 1)
        store.query("TRUNCATE inventory, inventory_balance")
        assert store.entries.count() == 0
