"""Two rivals at the same row, a hundred times, by every way there is: one wins, and the other is told."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
from django.db import DatabaseError, connections

from pgcraft_django.api import API
from pgcraft_django.errors import TransitionConflict
from tests.state_machine.orders import TRANSITIONS, declare
from tests.support.served import Served, serve
from tests.support.world import World, evolved

ROUNDS = 100
TARGETS = {state: [getattr(way, "to", way) for way in ways] for state, ways in TRANSITIONS.items()}


class Ring:
    """The database, its API, and the ways to ask for a step; each returns whether it was accepted."""

    def __init__(self, world: World, served: Served) -> None:
        self.order: Any = world.apps.get_model("shop", "Order")
        self.served = served
        self.ways: list[Callable[[int, str, str, str], bool]] = [self.orm, self.sql, self.update, self.api]

    def orm(self, key: int, before: str, to: str, reason: str) -> bool:
        order = self.order(pk=key, state=before)
        order._state.db, order._state.adding = self.served.alias, False
        try:
            order.state_machine.transition(to, reason=reason)
        except TransitionConflict:
            return False
        return True

    def sql(self, key: int, before: str, to: str, reason: str) -> bool:
        with connections[self.served.alias].cursor() as cursor:
            try:
                cursor.execute(
                    "SELECT private.orders_transition(%s, %s, %s, %s, NULL, NULL)", [key, to, before, reason]
                )
            except DatabaseError as error:
                if error.__cause__.sqlstate != "PT409":  # type: ignore[union-attr]
                    raise
                return False
        return True

    def update(self, key: int, before: str, to: str, reason: str) -> bool:
        """Say what is expected in a condition: who comes second finds no row."""
        with connections[self.served.alias].cursor() as cursor:
            cursor.execute("SELECT set_config('pgcraft.reason', %s, false)", [reason])
            cursor.execute("UPDATE orders SET state = %s WHERE id = %s AND state = %s", [to, key, before])
            changed = cursor.rowcount == 1
            cursor.execute("SELECT set_config('pgcraft.reason', '', false)")
        return changed

    def api(self, key: int, before: str, to: str, reason: str) -> bool:
        with httpx.Client(base_url=self.served.webuser.base_url, headers=self.served.webuser.headers) as client:
            body = {"id": key, "from": before, "to": to, "reason": reason}
            answer = client.post("/rpc/orders_transition", json=body)
        assert answer.status_code in {200, 409}, answer.text
        return answer.status_code == 200


@pytest.fixture(scope="module")
def ring(django_db_blocker: Any) -> Iterator[Ring]:
    options = {"api": API(grants={"webuser": "all"}), "transition_grants": {"webuser": "all"}}
    step = partial(declare, **options)
    with django_db_blocker.unblock(), evolved(step) as (world, site), serve(site.alias) as served:
        yield Ring(world, served)


def test_of_two_hundred_rivals_one_hundred_win(ring: Ring, unblocked: None) -> None:
    chance = random.Random(20)
    expected: dict[int, list[tuple[str | None, str, str | None]]] = {}
    accepted = refused = 0
    together = threading.Barrier(2, timeout=30)

    def ask(way: Callable[[int, str, str, str], bool], *arguments: Any) -> bool:
        together.wait()
        return way(*arguments)

    with ThreadPoolExecutor(2, initializer=lambda: connections[ring.served.alias].ensure_connection()) as pool:
        for number in range(ROUNDS):
            [(key,)] = ring.served.execute("INSERT INTO orders (total) VALUES (5) RETURNING id")
            expected[key] = [(None, "pending", None)]
            before = chance.choice(list(TARGETS))
            if before == "confirmed":
                ring.served.execute(f"UPDATE orders SET state = 'confirmed' WHERE id = {key}")
                expected[key].append(("pending", "confirmed", None))
            steps = [
                (chance.choice(ring.ways), key, before, chance.choice(TARGETS[before]), f"{number} {rival}")
                for rival in range(2)
            ]
            answers = [future.result() for future in [pool.submit(ask, *step) for step in steps]]
            accepted += answers.count(True)
            refused += answers.count(False)
            expected[key] += [
                (before, to, reason) for (_, _, _, to, reason), won in zip(steps, answers, strict=True) if won
            ]
        list(pool.map(lambda _: (together.wait(), connections[ring.served.alias].close()), range(2)))
    assert (accepted, refused) == (ROUNDS, ROUNDS)
    log: dict[int, list[Any]] = {}
    for key, *line in ring.served.execute(
        "SELECT id, from_state, to_state, reason FROM orders_transition ORDER BY transition_id"
    ):
        log.setdefault(key, []).append(tuple(line))
    assert log == expected
    assert {key: lines[-1][1] for key, lines in log.items()} == dict(
        ring.served.execute("SELECT id, state FROM orders")
    )
