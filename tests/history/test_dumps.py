"""What a dump has is what comes back, histories and logs included."""

from decimal import Decimal

from django.apps.registry import Apps

from tests.history.conftest import Place, define
from tests.state_machine.orders import declare
from tests.support.dumps import assert_survives_dump


def declare_both(apps: Apps) -> None:
    define(apps)
    declare(apps)


def test_histories_and_logs_survive_a_dump(place: Place) -> None:
    place.evolve(declare_both)
    school = place.rows("School").create(name="x")
    for number in range(20):
        place.rows().create(name=f"it's {number}\t\\ 🦆", school=school, marks=[Decimal("1.5")], data={"a": None})
    place.query("UPDATE students SET name = name || '!' WHERE id % 2 = 0")
    place.query("UPDATE students SET name = name || '!' WHERE id % 4 = 0")
    place.query("DELETE FROM students WHERE id % 8 IN (0, 1)")
    place.query("INSERT INTO students (id, name, data, marks) VALUES (1, 'again', '{}', '{}')")
    orders = place.model("Order")._base_manager.using(place.site.alias)
    for order in orders.bulk_create(orders.model(total=number) for number in range(5)):
        if order.total:
            order.state_machine.transition("confirmed", reason="paid", tracking_code="x")
    orders.filter(total__gt=2).delete()
    assert_survives_dump(place.site, ["schools", "students", "students_history", "orders", "orders_transition"])
    assert place.query("SELECT version FROM students WHERE id = 1") == [(2,)]
