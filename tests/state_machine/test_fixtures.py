"""Fixtures: what `dumpdata` writes of a machine is what `loaddata` brings back."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection

from pgcraft_django.errors import TransitionError
from tests.tickets.models import Ticket

pytestmark = pytest.mark.django_db(transaction=True)


def dump() -> str:
    stream = io.StringIO()
    call_command("dumpdata", "tickets", stdout=stream)
    return stream.getvalue().replace(".000Z", "Z")  # Django writes no fraction where it has cut off all of it


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE support_tickets, support_tickets_transition")


def load(path: Path, content: Any) -> None:
    file = path / "content.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    call_command("loaddata", str(file), verbosity=0)


def test_rows_come_back_in_their_states_with_their_logs(tmp_path: Path) -> None:
    first, second, third = (Ticket.objects.create(title=title, assignee="ann") for title in "abc")
    first.state_machine.transition("taken", reason="urgent", minutes=5)
    second.state_machine.transition("closed")
    second.delete()
    dumped = dump()
    empty()
    load(tmp_path, dumped)
    assert dump() == dumped
    load(tmp_path, dumped)
    assert dump() == dumped
    assert Ticket.objects.get(title="a").state_machine.transition("closed").step == 3
    assert Ticket.objects.get(title="c").state_machine.transition("closed").step == 2
    assert Ticket.objects.create(title="d").pk > third.pk
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('row_security'), current_setting('check_function_bodies')")
        assert cursor.fetchone() == ("on", "on")


def test_the_order_in_a_fixture_does_not_matter(tmp_path: Path) -> None:
    for title in "ab":
        Ticket.objects.create(title=title)
    Ticket.objects.get(title="b").state_machine.transition("closed")
    dumped = dump()
    empty()
    load(tmp_path, [*reversed(json.loads(dumped))])
    assert dump() == dumped


def test_a_row_may_come_in_any_state_and_goes_on_from_there(tmp_path: Path) -> None:
    def ticket(phase: str) -> Any:
        return [{"model": "tickets.ticket", "pk": 1, "fields": {"title": "a", "phase": phase}}]

    load(tmp_path, ticket("taken"))
    found = Ticket.objects.get()
    assert (found.phase, list(found.state_machine.history)) == ("taken", [])
    with pytest.raises(TransitionError):
        found.state_machine.transition("taken")
    assert found.state_machine.transition("closed").step == 1
    with pytest.raises(IntegrityError, match="is closed, and cannot become open"):
        load(tmp_path, ticket("open"))


def test_a_log_is_not_changed_by_a_fixture(tmp_path: Path) -> None:
    Ticket.objects.create(title="a", assignee="ann").state_machine.transition("taken", reason="true")
    with pytest.raises(IntegrityError, match="never changed"):
        load(tmp_path, dump().replace('"true"', '"false"'))
    assert Ticket.objects.get().state_machine.history.last().reason == "true"
