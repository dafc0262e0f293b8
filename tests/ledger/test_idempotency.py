"""The same key again gives the same entry, and with other content a conflict."""

import datetime
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.contrib.postgres.functions import RandomUUID
from django.db import DatabaseError, IntegrityError, connections, models, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pgcraft_django.errors import IdempotencyConflict
from tests.ledger.conftest import Store, new_store
from tests.ledger.stock import declare
from tests.support.databases import administrator

INSERT = "INSERT INTO inventory (value, warehouse, sku, idempotency_key) VALUES "


@pytest.fixture
def store(unblocked: None) -> Iterator[Store]:
    with new_store(idempotency=True) as found:
        yield found


def values(store: Store) -> list[Any]:
    return [row[0] for row in store.query("SELECT value FROM inventory ORDER BY id")]


def test_a_repetition_books_nothing_and_other_content_is_a_conflict(store: Store) -> None:
    for _ in range(3):
        store.query(f"{INSERT} (5, 'A', NULL, 'k')")
    store.query(f"{INSERT} (5, 'A', NULL, 'other'), (5, 'A', NULL, NULL), (5, 'A', NULL, NULL)")
    assert values(store) == [5] * 4
    for changed in (
        "(6, 'A', NULL, 'k')",
        "(5, 'B', NULL, 'k')",
        "(5, 'A', 'x', 'k')",
        "(5, 'A', NULL, 'k'), (6, 'A', NULL, 'k')",
    ):
        with pytest.raises(DatabaseError, match="key k belongs to another entry of inventory") as caught:
            store.query(INSERT + changed)
        assert caught.value.__cause__.sqlstate == "PT409"  # type: ignore[union-attr]
    assert store.balances() == store.sums() == {("A", None): 20}


def test_a_repetition_is_found_whatever_a_trigger_makes_of_it(store: Store) -> None:
    store.query("""
        CREATE FUNCTION upper_warehouse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.warehouse := upper(NEW.warehouse);
            RETURN NEW;
        END $$;
        CREATE TRIGGER set_warehouse BEFORE INSERT ON inventory FOR EACH ROW EXECUTE FUNCTION upper_warehouse();
    """)
    first, again = (store.entries.record(warehouse="a", value=5, idempotency_key="k") for _ in range(2))
    assert (first, first.warehouse) == (again, "A")


def test_legs_of_one_entry_share_its_key(store: Store) -> None:
    legs = [{"warehouse": "A", "value": 5}, {"warehouse": "B", "value": 5}, {"warehouse": "B", "value": 5}]
    first = store.entries.record(legs, idempotency_key="k")
    again = store.entries.record(legs, idempotency_key="k")
    assert [leg.pk for leg in first] == [leg.pk for leg in again]
    assert len({leg.entry_id for leg in first}) == 1
    for other in (legs[:2], [*legs, legs[0]], [{"warehouse": "A", "value": 6}]):
        with pytest.raises(IdempotencyConflict, match="belongs to"):
            store.entries.record(other, idempotency_key="k")
    with pytest.raises(TypeError, match="no idempotency_key of its own"):
        store.entries.record([{**legs[0], "idempotency_key": "k"}])
    assert store.balances() == store.sums() == {("A", None): 5, ("B", None): 10}


def test_as_many_legs_are_the_same_only_if_there_are_as_many_of_each(store: Store) -> None:
    one, two = {"warehouse": "A", "value": 5}, {"warehouse": "B", "value": Decimal("2.0"), "sku": None}
    for number, (first, other) in enumerate([([one, two], [one, one]), ([one, one, two], [one, two, two])]):
        entry = store.entries.record(first, idempotency_key=f"k{number}")
        assert store.entries.record(first[::-1], idempotency_key=f"k{number}") == entry
        with pytest.raises(IdempotencyConflict, match="which has other legs"):
            store.entries.record(other, idempotency_key=f"k{number}")
    assert values(store) == [5, 2, 5, 5, 2]


def test_a_time_that_was_left_out_is_no_content(unblocked: None) -> None:
    fields = {
        "seen": models.DateTimeField(db_default=Now()),
        "due": models.DateTimeField(db_default=Now() + datetime.timedelta(days=30)),
    }
    with new_store(idempotency=True, fields=fields) as store:
        first = store.query(f"{INSERT} (5, 'A', NULL, 'k') RETURNING seen, due")
        store.query(f"{INSERT} (5, 'A', NULL, 'k')")
        again = store.entries.create(warehouse="A", value=5, idempotency_key="k")
        assert [(again.seen, again.due)] == first
        store.entries.bulk_create([store.model(warehouse="A", value=5, idempotency_key="k")], ignore_conflicts=True)
        assert store.entries.record(warehouse="A", value=5, seen=again.seen, idempotency_key="k") == again
        assert values(store) == [5]
        with pytest.raises(IdempotencyConflict):
            store.entries.record(warehouse="A", value=5, seen=timezone.now(), idempotency_key="k")
        with pytest.raises(IdempotencyConflict):
            store.entries.record(warehouse="A", value=6, idempotency_key="k")


def test_what_a_default_makes_is_no_content_of_what_is_recorded(unblocked: None) -> None:
    fields = {
        "day": models.DateTimeField(default=timezone.now),
        "code": models.UUIDField(default=uuid.uuid4),
        "drawn": models.UUIDField(db_default=RandomUUID()),
        "note": models.TextField(default="none"),
    }
    with new_store(idempotency=True, fields=fields) as store:
        one = {"warehouse": "A", "value": 5}
        assert len({store.entries.record(**one, idempotency_key="k").pk for _ in range(3)}) == 1
        legs = [one, one, {**one, "code": uuid.UUID(int=1)}]
        first = store.entries.record(legs, idempotency_key="l")
        assert store.entries.record(legs, idempotency_key="l") == first
        given = {"code": first[0].code, "drawn": first[0].drawn}
        assert store.entries.record([{**one, **given}, *legs[1:]], idempotency_key="l") == first
        for other in ({"code": uuid.UUID(int=2)}, {"drawn": uuid.UUID(int=2)}, {"note": "x"}, {"value": 6}):
            for legs, key in (([{**one, **other}], "k"), ([one, one, {**one, **other}], "l")):
                with pytest.raises(IdempotencyConflict):
                    store.entries.record(legs, idempotency_key=key)
        store.entries.record(**one, note="x", idempotency_key="n")
        with pytest.raises(IdempotencyConflict):  # what is left out has a value here: a constant, and another one
            store.entries.record(**one, idempotency_key="n")
        store.entries.record(**one, sku="x", idempotency_key="s")
        with pytest.raises(IdempotencyConflict):  # so has NULL
            store.entries.record(**one, idempotency_key="s")
        assert len(values(store)) == 6


def test_an_entry_that_was_given_by_its_id_is_not_booked_twice_either(store: Store) -> None:
    insert = (
        "INSERT INTO inventory (value, warehouse, entry_id, idempotency_key)"
        " VALUES (1, 'A', 'a0000000-0000-0000-0000-000000000000', 'k'),"
        " (2, 'A', 'a0000000-0000-0000-0000-000000000000', 'k')"
    )
    for _ in range(2):
        store.query(insert)
    with transaction.atomic(using=store.site.alias):
        store.query(insert)
    assert values(store) == [1, 2]


def test_a_single_record_and_a_transfer_take_a_key(store: Store) -> None:
    entries = [store.entries.record(warehouse="A", value=9, idempotency_key="r") for _ in range(2)]
    assert entries[0] == entries[1]
    for _ in range(2):
        store.entries.transfer({"warehouse": "A"}, {"warehouse": "B"}, value=4, idempotency_key="t")
    assert store.balances() == {("A", None): 5, ("B", None): 4}


def test_create_takes_over_the_entry_that_is_there(store: Store) -> None:
    for key in ("c", "d"):
        store.entries.create(warehouse="A", value=7, idempotency_key=key)
    first = store.entries.create(warehouse="A", value=5, sku="x", idempotency_key="k")
    again = store.entries.create(warehouse="A", value=5, sku="x", idempotency_key="k")
    assert (again.pk, again.entry_id, again.created_at) == (first.pk, first.entry_id, first.created_at)
    rows = [store.model(warehouse="A", value=value, idempotency_key=f"n{value}") for value in (1, 2)]
    store.entries.bulk_create(
        [*rows[:1], store.model(warehouse="A", value=7, idempotency_key="c")], ignore_conflicts=True
    )
    store.entries.bulk_create(rows, ignore_conflicts=True)
    assert values(store) == [7, 7, 5, 1, 2]
    rounded = [store.entries.create(warehouse="A", value=Decimal("1.005"), idempotency_key="r") for _ in range(2)]
    assert rounded[0].pk == rounded[1].pk


def test_a_repetition_is_found_without_reading_all_entries(store: Store) -> None:
    with CaptureQueriesContext(connections[store.site.alias]) as asked:
        for _ in range(2):
            store.entries.record(warehouse="A", value=7, idempotency_key="r")
            store.entries.record([{"warehouse": "A", "value": 7}] * 2, idempotency_key="l")
            store.entries.create(warehouse="A", value=7, idempotency_key="c")
    store.query("SET enable_seqscan = off")
    reads = [query["sql"] for query in asked.captured_queries if query["sql"].startswith("SELECT")]
    assert len(reads) > 5
    for read in reads:
        plan = [line for (line,) in store.query(f"EXPLAIN {read}")]
        assert not any("Seq Scan" in str(line) for line in plan), (read, plan)


def test_many_legs_that_come_again_are_not_each_compared_with_all(store: Store) -> None:
    legs = [{"warehouse": f"W{number}", "value": 1} for number in range(100)]
    store.query("INSERT INTO inventory (value, warehouse) SELECT 1, 'A' FROM generate_series(1, 1000)")
    store.entries.record(legs, idempotency_key="k")
    store.query("ANALYZE inventory")  # which says that hardly any entry has more than one leg
    looked_at = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'inventory'"
    with transaction.atomic(using=store.site.alias):
        [[before]] = store.query(looked_at)
        store.entries.bulk_create([store.model(**leg, idempotency_key="k") for leg in legs], ignore_conflicts=True)
        [[after]] = store.query(looked_at)
    assert after - before < 10 * len(legs)
    assert len(values(store)) == 1000 + len(legs)


def test_legs_of_which_there_are_several_are_not_each_asked_for(store: Store) -> None:
    legs = [{"warehouse": f"W{number // 2}", "value": 1} for number in range(20)]
    first = store.entries.record(legs, idempotency_key="k")
    with CaptureQueriesContext(connections[store.site.alias]) as asked:
        assert store.entries.record(legs, idempotency_key="k") == first
    assert len([query for query in asked.captured_queries if query["sql"].startswith("SELECT")]) == 2


def test_bulk_create_says_that_it_cannot_take_over_what_is_there(store: Store) -> None:
    """Fewer rows come back than went, and nothing says which: the ids must not go to other instances."""
    first = store.entries.create(warehouse="A", value=1, idempotency_key="a")
    for values_and_keys in ([(1, "a")], [(1, "a"), (2, "b")], [(2, "b"), (1, "a")]):
        rows = [store.model(warehouse="A", value=value, idempotency_key=key) for value, key in values_and_keys]
        with pytest.raises(IntegrityError, match=r"bulk_create\(…, ignore_conflicts=True\) or record\(\)"):
            store.entries.bulk_create(rows)
        assert [row.pk for row in rows] == [None] * len(rows)
    assert list(store.entries.values_list("pk", flat=True)) == [first.pk]


def test_a_data_migration_books_once_too(store: Store) -> None:
    """Its models are Django's own, which know nothing of keys."""
    model = store.site.state.apps.get_model("shop", "Inventory")
    for _ in range(2):
        entry = model(warehouse="A", value=7, idempotency_key="m")
        model.objects.using(store.site.alias).bulk_create([entry], ignore_conflicts=True)
    assert values(store) == [7]


def test_a_key_is_free_again_if_its_entry_was_not_booked(store: Store) -> None:
    with pytest.raises(IntegrityError, match="cannot fall below"):
        store.entries.record(warehouse="A", value=-1, idempotency_key="k")
    store.entries.record(warehouse="A", value=1, idempotency_key="k")
    assert values(store) == [1]


def test_rivals_with_one_key_book_once(store: Store) -> None:
    def book(content: int) -> list[str]:
        found = []
        with administrator(store.database) as connection:
            for number in range(30):
                row = f"({1 + number % 3 * content}, 'A', NULL, 'k{number}')"
                try:
                    with connection.transaction():
                        connection.execute(f"INSERT INTO private.{INSERT.removeprefix('INSERT INTO ')} {row}, {row}")
                except psycopg.DatabaseError as error:
                    found.append(str(error.sqlstate))
        return found

    with ThreadPoolExecutor(4) as pool:
        refused = [state for states in pool.map(book, [0, 0, 1, 1]) for state in states]
    # With other content, where there is another one: of two times two rivals, one side loses.
    assert refused == ["PT409"] * 40
    assert store.query("SELECT count(*), count(DISTINCT idempotency_key) FROM inventory") == [(30, 30)]
    assert store.balances() == store.sums()


def test_keys_are_written_by_nobody_else_and_come_back_with_the_entries(store: Store) -> None:
    store.query(f"{INSERT} (5, 'A', NULL, 'k')")
    [key] = store.query("SELECT * FROM inventory_key")
    assert key[:2] == ("k", store.query("SELECT entry_id FROM inventory")[0][0])
    store.query("INSERT INTO inventory_key VALUES ('z', gen_random_uuid(), now())")
    for statement in (
        "DELETE FROM inventory_key",
        "UPDATE inventory_key SET entry_id = gen_random_uuid()",
        "TRUNCATE inventory_key",
    ):
        with pytest.raises(IntegrityError, match="refused"):
            store.query(statement)
    assert store.query("SELECT * FROM inventory_key") == [key]
    line = "8\tb0000000-0000-0000-0000-000000000000\t2000-01-01 00:00Z\t{}\tA\t\\N\tm\n"
    with connections[store.site.alias].cursor() as cursor, cursor.copy("COPY inventory FROM STDIN") as copy:
        copy.write(line.format(3) + line.format(4).replace("8", "9", 1))
    assert values(store) == [5, 3, 4]
    store.query(f"{INSERT} (4, 'A', NULL, 'm')")
    assert values(store) == [5, 3, 4]


def test_keys_can_be_added_and_taken_away(unblocked: None) -> None:
    with new_store() as store:
        store.add(5)
        catalog = store.site.catalog()
        made = store.evolve(lambda apps: declare(apps, idempotency=True))
        store.query(f"{INSERT} (1, 'A', NULL, 'k')")
        for _ in made:
            store.site.unmigrate()
        assert store.site.catalog() == catalog
        store.site.migrate(made)
        store.evolve(lambda apps: declare(apps))
        assert store.site.catalog() == catalog
