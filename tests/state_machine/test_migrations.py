"""The machine follows its declaration, forwards and backwards, and rows and logs stay."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import IntegrityError, connections, models
from django.db.migrations.questioner import MigrationQuestioner

from pgcraft_django import as_role
from pgcraft_django.api import API
from pgcraft_django.factories.state_machine.checks import check_machine
from pgcraft_django.models import PGCraftSimple, Transition
from pgcraft_django.operations import WithoutGuards
from tests.state_machine.orders import TRANSITIONS, State, declare
from tests.support.catalog import differences, meaning
from tests.support.databases import administrator, wait_until_blocked
from tests.support.world import Site, World, evolved, new_site

RENAMED = MigrationQuestioner({"ask_initial": True, "ask_rename": True, "ask_rename_model": True})
OPEN: dict[str, Any] = {
    "api": API(grants={"anon": ["select"], "webuser": "all"}),
    "transition_api": API(grants={"webuser": ["select"]}),
    "transition_grants": {"webuser": "all"},
}
LONGER = {
    "pending": ["confirmed"],
    "confirmed": [Transition("shipped", guard=models.Q(total__gt=0) & ~models.Q(note=""))],
}


MEMBERS: dict[Any, list[Any]] = {
    State.PENDING: [Transition(State.CONFIRMED, guard=models.Q(total__gt=0)), State.CANCELLED],
    State.CONFIRMED: [State.SHIPPED, State.CANCELLED],
}


def plain(apps: Apps) -> None:
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "orders"})
    state = models.TextField(default="pending")
    type("Order", (PGCraftSimple,), {"__module__": __name__, "Meta": meta, "state": state})


def step(site: Site, to: str, *, key: int = 1) -> None:
    site.query("UPDATE orders SET state = %s WHERE id = %s", [to, key])


def test_who_steps_waits_for_no_migration_that_waits_for_them(unblocked: None) -> None:
    """On the way back it takes the table first, and not the log, to which everybody comes by the table."""
    held = "SELECT relation::regclass::text FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation > 16383 AND"
    with evolved(plain, declare) as (_, site):
        database = connections[site.alias].settings_dict["NAME"]

        def go_back() -> None:
            try:
                site.unmigrate()
            finally:
                connections[site.alias].close()

        with administrator(database) as writer, ThreadPoolExecutor(1) as pool:
            writer.execute("BEGIN; LOCK TABLE private.orders IN ROW EXCLUSIVE MODE")
            going = pool.submit(go_back)
            wait_until_blocked(going, database)
            waiting, taken = (writer.execute(held + granted).fetchall() for granted in (" NOT granted", " granted"))
            writer.execute("COMMIT")
            going.result(30)
        assert waiting == [("private.orders",)]
        assert ("private.orders_transition",) not in taken


def test_a_member_of_the_choices_is_the_text_that_it_stands_for() -> None:
    worlds = [World(), World()]
    for world, ways, granted in zip(worlds, (TRANSITIONS, MEMBERS), ("confirmed", State.CONFIRMED), strict=True):
        options = {"transitions": ways, "transition_grants": {"webuser": [granted]}}
        world.evolve(lambda apps, options=options: declare(apps, **options))  # type: ignore[misc]
    texts, members = worlds
    assert members.sources == texts.sources
    order: Any = members.apps.get_model("shop", "Order")
    assert list(check_machine(order)) == []
    machine = order.state_machine
    assert machine.transitions == texts.apps.get_model("shop", "Order").state_machine.transitions  # type: ignore[attr-defined]
    assert {type(name) for name in (*machine.transitions, *(way.to for _, way in machine.ways()))} == {str}


def walk(versions: list[dict[str, Any]], after_each: Callable[[Site, dict[str, Any]], None]) -> None:
    """Make each version of the one before and of nothing, with the same outcome; then go all the way back."""
    world = World()
    with new_site() as site:
        catalogs = [site.catalog()]
        steps = [0]
        for version in versions:
            made = world.evolve(lambda apps, version=version: declare(apps, **version), RENAMED)
            assert made
            site.migrate(made)
            fresh = World()
            fresh.evolve(lambda apps, version=version: declare(apps, **version))
            with new_site() as other:
                other.migrate(fresh.order)
                assert differences(meaning(site.catalog()), meaning(other.catalog())) == {}
            after_each(site, version)
            catalogs.append(site.catalog())
            steps.append(len(site.applied))
        for applied, catalog in reversed(list(zip(steps, catalogs, strict=True))):
            while len(site.applied) > applied:
                site.unmigrate()
            assert differences(site.catalog(), catalog) == {}


def test_each_change_is_found_and_can_be_taken_back(unblocked: None) -> None:
    versions = [
        {},
        OPEN,
        {**OPEN, "transitions": LONGER},
        {**OPEN, "transitions": LONGER, "transition_grants": {"webuser": ["shipped"], "anon": ["confirmed"]}},
        {
            **OPEN,
            "transition_fields": {"by": models.IntegerField(null=True), "tracking_code": models.TextField(null=True)},
        },
        {**OPEN, "transition_fields": {"tracking_code": models.CharField(max_length=99, null=True)}},
        {**OPEN, "transition_fields": {}},
        {**OPEN, "schema": "other", "transition_grants": {}},
    ]
    walk(versions, lambda site, version: None)


def test_what_is_renamed_or_moved_keeps_its_rows_log_and_rules(unblocked: None) -> None:
    """The table, the model, the key, the state, a field of the log, the schema: one after the other, then at once."""
    key = {"number": models.BigAutoField(primary_key=True)}
    other_key = {"Nr": models.BigAutoField(primary_key=True)}
    phase = {"state": None, "order": models.TextField(choices=State.choices, default=State.PENDING)}
    code = {"transition_fields": {"Code": models.TextField(null=True)}}
    sold = {**OPEN, "name": "Sale"}
    versions: list[dict[str, Any]] = [
        {**OPEN, "fields": key},
        {**OPEN, "fields": key, "table": "Our sales"},
        {**sold, "fields": key, "table": "Our sales"},
        {**sold, "fields": other_key, "table": "Our sales"},
        {**sold, "fields": {**other_key, **phase}, "state_field": "order", "table": "Our sales"},
        {**sold, "fields": {**other_key, **phase}, "state_field": "order", "table": "Our sales", **code},
        {**sold, "fields": {**other_key, **phase}, "state_field": "order", "table": "Our sales", "schema": "other"},
        {**sold, "fields": {**other_key, **phase}, "state_field": "order", "table": "s" * 40, "schema": "public"},
        {**sold, "fields": key, "table": "orders"},
    ]
    numbers = itertools.count(1)

    def check(site: Site, version: dict[str, Any]) -> None:
        table, schema = version.get("table", "orders"), version.get("schema", "private")
        state, [key] = version.get("state_field", "state"), [name for name in version["fields"] if name[0] in "nN"]
        for statement in (
            f'INSERT INTO "{table}" (total) VALUES (5)',
            f"""UPDATE "{table}" SET "{state}" = 'cancelled' WHERE "{state}" = 'pending'""",
        ):
            site.query(statement)
        with pytest.raises(IntegrityError, match="is cancelled, and cannot become pending"):
            site.query(f"""UPDATE "{table}" SET "{state}" = 'pending'""")
        log = site.query(f'SELECT from_state, to_state FROM "{schema}"."{table}_transition" ORDER BY "{key}", at')
        assert log == [(None, "pending"), ("pending", "cancelled")] * next(numbers)

    walk(versions, check)


def test_a_column_of_the_log_is_asked_about_and_renamed_with_its_values(unblocked: None) -> None:
    def logged(name: str) -> Callable[[Apps], Any]:
        return lambda apps: declare(apps, transition_fields={name: models.TextField(null=True)})

    world = World()
    with new_site() as site:
        site.migrate(world.evolve(logged("note")))
        site.query("INSERT INTO orders (total) VALUES (1)")
        order = world.apps.get_model("shop", "Order")
        order.objects.using(site.alias).get().state_machine.transition("cancelled", note="Lost")
        site.migrate(world.evolve(logged("remark"), RENAMED))
        assert site.query("SELECT remark FROM orders_transition ORDER BY step") == [(None,), ("Lost",)]
        site.unmigrate()
        assert site.query("SELECT note FROM orders_transition ORDER BY step") == [(None,), ("Lost",)]


def test_older_code_leads_rows_on_while_the_log_gets_fields(unblocked: None) -> None:
    """As on a site whose servers are restarted one by one after `migrate`: with values, whatever the new order is."""
    text = models.TextField
    world = World()
    with new_site() as site:
        site.migrate(world.evolve(lambda apps: declare(apps, **OPEN, transition_fields={"note": text(null=True)})))
        old: Any = world.apps.get_model("shop", "Order").objects.using(site.alias)
        extended = {"before": text(null=True), "note": text(null=True), "behind": text(null=True, default="B")}
        site.migrate(world.evolve(lambda apps: declare(apps, **OPEN, transition_fields=extended)))
        order = old.create(total=1)
        order.state_machine.transition("confirmed", note="N")
        with as_role("webuser", using=site.alias):
            order.state_machine.transition("cancelled", note="M")
        lines = site.query("SELECT before, note, behind FROM orders_transition WHERE from_state <> '' ORDER BY step")
        assert lines == [(None, "N", "B"), (None, "M", "B")]


def test_a_plain_model_becomes_a_machine_where_it_stands(unblocked: None) -> None:
    world = World()
    with new_site() as site:
        site.migrate(world.evolve(plain))
        site.query("INSERT INTO orders (state) VALUES ('pending'), ('lost')")
        (before,) = site.query("SELECT relfilenode FROM pg_class WHERE oid = 'private.orders'::regclass")
        site.migrate(
            world.evolve(
                lambda apps: declare(apps, fields={"total": None, "note": None}, transitions={"pending": ["done"]})
            )
        )
        assert site.query("SELECT relfilenode FROM pg_class WHERE oid = 'private.orders'::regclass") == [before]
        step(site, "done")
        with pytest.raises(IntegrityError, match="orders 2 is lost, and cannot become pending"):
            step(site, "pending", key=2)
        assert site.query("SELECT id, from_state, to_state FROM orders_transition") == [(1, "pending", "done")]


def test_a_renamed_column_of_a_guard_is_followed(unblocked: None) -> None:
    world = World()
    with new_site() as site:
        site.migrate(world.evolve(lambda apps: declare(apps)))
        site.query("INSERT INTO orders (total) VALUES (5), (0)")
        ways = {"pending": [Transition("confirmed", guard=models.Q(amount__gt=0))], "confirmed": ["shipped"]}
        renamed = {"total": None, "amount": models.DecimalField(max_digits=12, decimal_places=2, default=0)}
        made = world.evolve(lambda apps: declare(apps, fields=renamed, transitions=ways))
        site.migrate(made)
        step(site, "confirmed")
        with pytest.raises(IntegrityError, match="orders 2 cannot become confirmed as it is"):
            step(site, "confirmed", key=2)
        site.unmigrate()
        with pytest.raises(IntegrityError, match="orders 2 cannot become confirmed as it is"):
            step(site, "confirmed", key=2)
        step(site, "cancelled")
        assert len(site.query("SELECT id FROM orders_transition WHERE id = 1")) == 3


def test_a_machine_that_becomes_plain_keeps_its_log_and_goes_on_with_it(unblocked: None) -> None:
    world = World()
    without = {"fields": {"total": None, "note": None}, "transitions": {"pending": ["done"]}}
    with new_site() as site:
        site.migrate(world.evolve(lambda apps: declare(apps, **without)))
        catalog = site.catalog()
        site.query("INSERT INTO orders (id) VALUES (1)")
        step(site, "done")
        site.migrate(world.evolve(plain))
        step(site, "lost")  # nothing judges it now
        with pytest.raises(IntegrityError, match="never changed or removed"):
            site.query("DELETE FROM orders_transition")
        site.migrate(world.evolve(lambda apps: declare(apps, **without)))
        assert differences(site.catalog(), catalog) == {}
        with pytest.raises(IntegrityError, match="orders 1 is lost, and cannot become done"):
            step(site, "done")
        log = site.query("SELECT from_state, to_state FROM orders_transition ORDER BY transition_id")
        assert log == [(None, "pending"), ("pending", "done")]


def test_lines_of_rows_that_were_there_before_a_model_was_plain_can_be_marked(unblocked: None) -> None:
    world = World()
    without = {"fields": {"total": None, "note": None}, "transitions": {"pending": ["done"]}}
    with new_site() as site:
        site.migrate(world.evolve(lambda apps: declare(apps, **without)))
        site.query("INSERT INTO orders (id) VALUES (1), (2)")
        site.migrate(world.evolve(plain))
        site.query("DELETE FROM orders")
        site.query("INSERT INTO orders (id) VALUES (1)")
        [again] = world.evolve(lambda apps: declare(apps, **without))
        again.operations.append(
            WithoutGuards(["orders_transition"], "UPDATE orders_transition SET former = true", reverse_sql="")
        )
        site.migrate([again])
        step(site, "done")
        site.query("INSERT INTO orders (id) VALUES (2)")
        log = site.query("SELECT id, step, former, to_state FROM orders_transition ORDER BY id, step")
        assert log == [
            (1, 1, True, "pending"),
            (1, 2, False, "done"),
            (2, 1, True, "pending"),
            (2, 2, False, "pending"),
        ]
        with pytest.raises(IntegrityError, match="never changed or removed"):
            site.query("UPDATE orders_transition SET former = false")


def test_no_row_is_lost_on_the_way_to_a_machine_and_back(unblocked: None) -> None:
    without = {"fields": {"total": None, "note": None}, "transitions": {"pending": ["done"]}}
    rows, log = "SELECT id, state FROM orders ORDER BY id", "SELECT id, to_state FROM orders_transition ORDER BY 1, at"
    world = World()
    with new_site() as site:
        site.migrate(world.evolve(plain))
        site.query("INSERT INTO orders (state) VALUES ('pending'), ('lost')")
        adopted = world.evolve(lambda apps: declare(apps, **without))
        site.migrate(adopted)
        step(site, "done")
        for _ in adopted:
            site.unmigrate()
        assert site.query(rows) == [(1, "done"), (2, "lost")]
        site.query("INSERT INTO orders DEFAULT VALUES")
        site.migrate(adopted)
        assert site.query(rows) == [(1, "done"), (2, "lost"), (3, "pending")]
        step(site, "done", key=3)
        given_up = world.evolve(plain)
        site.migrate(given_up)
        site.query("INSERT INTO orders DEFAULT VALUES")
        for _ in given_up:
            site.unmigrate()
        step(site, "done", key=4)
        assert site.query(rows) == [(1, "done"), (2, "lost"), (3, "done"), (4, "done")]
        assert site.query(log) == [(3, "done"), (4, "done")]
