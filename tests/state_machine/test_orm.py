"""Transitions in Python."""

import contextlib
import datetime
import threading
import zoneinfo
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.apps.registry import Apps
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, connections, models, transaction
from django.db.models.functions import Now
from django.forms import modelform_factory
from django.utils import timezone

from pgcraft_django import history_context
from pgcraft_django.diagnosis import sqlstate
from pgcraft_django.errors import TransitionConflict, TransitionError
from pgcraft_django.models import Transition
from tests.state_machine.conftest import Shop
from tests.state_machine.orders import State, declare
from tests.support.databases import reverse_rows
from tests.support.world import World, new_site

EVENING = datetime.datetime(2026, 1, 2, 20, tzinfo=zoneinfo.ZoneInfo("America/Chicago"))
"""In the time zone of the tests."""


@pytest.fixture
def orders(shop: Shop) -> Any:
    return shop.order._base_manager.using(shop.site.alias)


def steps(order: Any) -> list[tuple[Any, ...]]:
    return list(order.state_machine.history.values_list("from_state", "to_state"))


def test_an_order_goes_its_way(orders: Any) -> None:
    order = orders.create(total=5)
    entry = order.state_machine.transition("confirmed", reason="paid", tracking_code="X1")
    assert (entry.from_state, entry.to_state, entry.reason, entry.tracking_code) == (
        "pending",
        "confirmed",
        "paid",
        "X1",
    )
    assert (order.state, orders.get().state) == ("confirmed", "confirmed")
    order.state_machine.transition(State.SHIPPED)
    assert steps(order) == [(None, "pending"), ("pending", "confirmed"), ("confirmed", "shipped")]
    assert str(order.state_machine.history.last()) == "confirmed → shipped"
    assert [entry.reason for entry in order.state_machine.history] == [None, "paid", None]


def test_steps_are_in_order_however_they_came(shop: Shop, orders: Any) -> None:
    both = [orders.create(total=5) for _ in range(2)]
    for state in ("confirmed", "shipped"):
        for order in reversed(both):
            order.state_machine.transition(state)
    reverse_rows(shop.site.alias, "orders_transition")
    way = [(None, "pending"), ("pending", "confirmed"), ("confirmed", "shipped")]
    assert [steps(order) for order in both] == [way, way]
    lines = shop.order.pgcraft_log.objects.using(shop.site.alias)
    assert [line.transition_id for line in lines] == [1, 2, 3, 4, 5, 6]


def test_only_the_state_is_saved(orders: Any) -> None:
    order = orders.create(total=5)
    order.note = "not yet"
    order.state_machine.transition("confirmed")
    assert (orders.get().note, order.note) == ("", "not yet")
    order.save()
    assert orders.get().note == "not yet"


def test_what_is_allowed_is_asked_of_the_database(orders: Any) -> None:
    order = orders.create(total=0)
    assert order.state_machine.allowed() == ["cancelled"]
    orders.update(total=1)
    assert order.state_machine.allowed() == ["confirmed", "cancelled"]
    orders.get().state_machine.transition("cancelled")
    assert order.state_machine.allowed() == []
    order.delete()
    order.pk = 1
    with pytest.raises(orders.model.DoesNotExist):
        order.state_machine.allowed()


def test_the_second_of_two_finds_a_conflict(orders: Any) -> None:
    order, rival = orders.create(total=5), orders.get()
    rival.state_machine.transition("confirmed")
    with pytest.raises(TransitionConflict, match="orders 1 is now confirmed, not pending"):
        order.state_machine.transition("cancelled")
    assert (order.state, orders.get().state) == ("pending", "confirmed")
    order.refresh_from_db()
    order.state_machine.transition("cancelled")


def test_a_conflict_leaves_the_transaction_usable(shop: Shop, orders: Any) -> None:
    order, rival = orders.create(total=5), orders.get()
    rival.state_machine.transition("confirmed")
    with transaction.atomic(using=shop.site.alias):
        with pytest.raises(TransitionConflict):
            order.state_machine.transition("cancelled")
        orders.update(note="still here")
    assert orders.get().note == "still here"


def test_what_is_refused_says_why(shop: Shop, orders: Any) -> None:
    order = orders.create(total=0)
    for to, message in (
        ("shipped", "orders 1 is pending, and cannot become shipped"),
        ("lost", "orders have no state lost"),
        ("confirmed", "orders 1 cannot become confirmed as it is"),
    ):
        with pytest.raises(TransitionError, match=message) as caught:
            order.state_machine.transition(to)
        assert not isinstance(caught.value, TransitionConflict)
    with pytest.raises(TypeError, match="actor"):
        order.state_machine.transition("cancelled", actor="me")
    orders.all().delete()
    with pytest.raises(orders.model.DoesNotExist, match="There is no orders 1"):
        order.state_machine.transition("cancelled")
    assert steps(order) == [(None, "pending")]


def test_a_check_of_the_table_stays_what_it_is(shop: Shop, orders: Any) -> None:
    shop.query("ALTER TABLE orders ADD CHECK (state <> 'cancelled')")
    with pytest.raises(IntegrityError, match="orders_state_check"):
        orders.create().state_machine.transition("cancelled")


def test_an_error_of_the_server_keeps_its_cause(shop: Shop, orders: Any) -> None:
    order = orders.create(total=5)
    with transaction.atomic(using=shop.site.alias):
        with connections[shop.site.alias].cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        with pytest.raises(DatabaseError) as refused:
            order.state_machine.transition("confirmed")
    assert sqlstate(refused.value) == "25006"
    assert order.state == "pending"


def test_plain_saves_are_judged_too(orders: Any) -> None:
    order, stale = orders.create(total=5), orders.get()
    order.state = "confirmed"
    order.save()
    with pytest.raises(IntegrityError, match="is confirmed, and cannot become pending"):
        stale.save()
    with pytest.raises(IntegrityError, match="cannot be shipped: it begins as pending"):
        orders.create(state="shipped")
    orders.filter(state="confirmed").update(state="shipped")
    assert steps(order)[1:] == [("pending", "confirmed"), ("confirmed", "shipped")]


def test_a_form_says_before_the_database_what_is_not_possible(orders: Any) -> None:
    def errors(order: Any, **values: Any) -> Any:
        form = modelform_factory(orders.model, fields=[*values])(values, instance=order)
        if form.is_valid():
            form.instance.save(using=orders.db)
        return {name: list(said) for name, said in form.errors.items()}

    fresh = orders.model()
    fresh._state.db = orders.db
    assert errors(fresh, state="shipped") == {"state": ["A new row cannot be shipped: it begins as pending."]}
    assert errors(fresh, state="pending", total=0) == {}
    order = orders.get()
    assert errors(order, state="shipped") == {"state": ["It is pending, and cannot become shipped."]}
    order.refresh_from_db()
    unmet = ["It cannot become confirmed as it is: the condition for that is not met."]
    assert errors(order, state="confirmed") == {"state": unmet}
    assert errors(order, state="confirmed", total=5) == {}
    assert errors(order, note="x") == errors(order, state="confirmed") == {}
    assert steps(order) == [(None, "pending"), ("pending", "confirmed")]


def test_a_form_judges_a_guard_as_the_database_does(unblocked: None) -> None:
    paid = models.IntegerField(null=True, blank=True, db_column="Paid so far")
    double = models.GeneratedField(expression=models.F("paid") * 2, output_field=models.IntegerField(), db_persist=True)
    more = models.JSONField(null=True, blank=True)
    fields = {"paid": paid, "double": double, "more": more, "at": models.DateTimeField(default=EVENING)}
    guards = {
        "enough": models.Q(paid__gte=models.F("total")),
        "other": ~models.Q(paid=3),
        "twice": models.Q(double__gt=5),
        "said": models.Q(more__isnull=False) & ~models.Q(note__startswith="%"),
        "never": models.Q(pk__in=[]),
        "always": models.Q(),
        "that day": models.Q(at__date=EVENING.date()),
    }
    ways = {"pending": [Transition(state, guard=guard) for state, guard in guards.items()]}
    state = models.TextField(default="pending")
    world = World()
    with new_site() as site:
        site.migrate(world.evolve(lambda apps: declare(apps, fields={**fields, "state": state}, transitions=ways)))
        orders = world.apps.get_model("shop", "Order")._base_manager.using(site.alias)
        for values in ({}, {"paid": 3, "more": {}}, {"paid": 0, "note": "%"}):
            order = orders.create(**values)
            taken, found = set(), set()
            with timezone.override("Pacific/Auckland"):  # of whoever asks
                for order.state in guards:
                    with contextlib.suppress(ValidationError):
                        order.full_clean()
                        found.add(order.state)
                    with contextlib.suppress(IntegrityError), transaction.atomic(using=site.alias):
                        order.save()
                        taken.add(order.state)
                        transaction.set_rollback(True, using=site.alias)
                assert found == taken == set(order.state_machine.allowed())
        order.paid, order.state = 2**40, "twice"
        with pytest.raises(ValidationError) as refused:
            order.full_clean()
        assert list(refused.value.message_dict) == ["paid"]


def test_asynchronous_code_leads_on_too(shop: Shop, orders: Any) -> None:
    async def lead() -> Any:
        order = await orders.acreate(total=5)
        assert await order.state_machine.aallowed() == ["confirmed", "cancelled"]
        async with history_context(actor="ann"):
            return await order.state_machine.atransition("confirmed", reason="paid", tracking_code="X1")

    entry = async_to_sync(lead)()
    assert (entry.to_state, entry.actor, entry.reason, entry.tracking_code) == ("confirmed", "ann", "paid", "X1")


def test_bulk_operations_write_the_log(orders: Any) -> None:
    many = orders.bulk_create(orders.model(total=number) for number in range(1, 50))
    for order in many:
        order.state = "cancelled"
    orders.bulk_update(many, ["state"])
    assert all(steps(order) == [(None, "pending"), ("pending", "cancelled")] for order in many)


def test_of_two_rivals_at_the_same_moment_one_wins(shop: Shop, orders: Any) -> None:
    order = orders.create(total=5)
    answers: list[str] = []
    waiting = threading.Event()

    def rival() -> None:
        try:
            mine = orders.get()
            waiting.set()
            mine.state_machine.transition("cancelled")
            answers.append("accepted")
        except TransitionConflict as conflict:
            answers.append(str(conflict))
        finally:
            connections[shop.site.alias].close()

    thread = threading.Thread(target=rival)
    with transaction.atomic(using=shop.site.alias):
        order.state_machine.transition("confirmed")
        thread.start()
        waiting.wait(10)
        while not shop.query("SELECT 1 FROM pg_locks WHERE NOT granted"):
            assert thread.is_alive()
    thread.join(10)
    assert answers == ["orders 1 is now confirmed, not pending."]
    assert steps(order) == [(None, "pending"), ("pending", "confirmed")]


def test_the_class_knows_its_machine(shop: Shop) -> None:
    machine = shop.order.state_machine
    assert machine.states == ("pending", "confirmed", "shipped", "cancelled")
    assert (machine.initial, machine.final) == ("pending", ("shipped", "cancelled"))


def test_keys_and_fields_of_any_kind(unblocked: None) -> None:
    """A composite key with a foreign key in it, another name for the state, values that JSON has no type for."""

    def declare_line(apps: Apps) -> None:
        order = declare(apps)
        fields = {
            "pk": models.CompositePrimaryKey("order", "number"),
            "order": models.ForeignKey(order, models.CASCADE),
            "number": models.CharField(max_length=9, db_collation="C"),
        }
        declare(
            apps,
            name="Line",
            table="Größe & Line",
            fields={
                **fields,
                "state": models.TextField(null=True),
                "Phase": models.CharField(max_length=9, default="a"),
            },
            state_field="Phase",
            transitions={"a": [Transition("it's 100%", guard=models.Q(note__contains="50%") | models.Q(total=None))]},
            transition_fields={
                "price": models.DecimalField(max_digits=30, decimal_places=12, null=True),
                "least": models.SmallIntegerField(null=True),
                "day": models.DateTimeField(null=True),
                "data": models.BinaryField(null=True),
                "tree": models.JSONField(null=True),
                "words": ArrayField(models.TextField(), null=True),
                "by": models.ForeignKey(order, models.SET_NULL, null=True, related_name="+"),
            },
        )

    world = World()
    with new_site() as site:
        site.migrate(world.evolve(declare_line))
        order = world.apps.get_model("shop", "Order").objects.using(site.alias).create()
        lines = world.apps.get_model("shop", "Line").objects.using(site.alias)
        lines.create(order=order, number="x", note="50%")
        lines.create(order=order, number="y", note="50")
        values = {
            "price": Decimal("123456789012345678.123456789012"),
            "least": -(2**15),
            "day": datetime.datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=datetime.UTC),
            "data": b"\x00\xff",
            "tree": {"a": [1, None, "ü"]},
            "words": ["a,b", 'c"d', ""],
            "by": order,
        }
        line = lines.get(number="x")
        assert line.state_machine.allowed() == ["it's 100%"]
        line.state_machine.transition("it's 100%", **values)
        entry = line.state_machine.history.last()
        assert {name: getattr(entry, name) for name in values} == values | {"data": entry.data}
        assert bytes(entry.data) == values["data"]
        assert (entry.order, entry.number) == (order, "x")
        other = lines.get(number="y")
        assert other.state_machine.allowed() == []
        with pytest.raises(TransitionError, match='"Größe & Line" 1, y cannot become it\'s 100% as it is'):
            other.state_machine.transition("it's 100%")


def test_what_a_field_of_the_log_has_by_default_is_in_each_line_that_says_nothing_else(unblocked: None) -> None:
    fields = {
        "minutes": models.IntegerField(null=True, default=5),
        "noted": models.DateField(null=True, db_default=Now()),
        "tracking_code": models.TextField(null=True),
    }
    options = {"transition_fields": fields, "transition_grants": {"webuser": "all"}}
    world = World()
    with new_site() as site:
        site.migrate(world.evolve(lambda apps: declare(apps, **options)))
        orders = world.apps.get_model("shop", "Order")._base_manager.using(site.alias)
        [first, second, third] = (orders.create(total=1) for _ in range(3))
        first.state_machine.transition("confirmed")
        first.state_machine.transition("shipped", minutes=9, noted=datetime.date(2020, 1, 1), tracking_code="x")
        orders.filter(pk=second.pk).update(state="confirmed")
        site.query("SELECT api.orders_transition(%s, 'confirmed')", [second.pk + 1])
        lines = [list(order.state_machine.history) for order in (first, second, third)]
        assert [[line.minutes for line in of_one] for of_one in lines] == [[5, 5, 9], [5, 5], [5, 5]]
        assert [[line.noted.year > 2020 for line in of_one] for of_one in lines] == [
            [True, True, False],
            *[[True, True]] * 2,
        ]
        assert {line.tracking_code for of_one in lines for line in of_one} == {None, "x"}
