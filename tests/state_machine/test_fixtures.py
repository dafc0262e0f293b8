"""Fixtures: what `dumpdata` writes of a machine is what `loaddata` brings back."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection

from tests.tickets.models import Ticket

pytestmark = pytest.mark.django_db(transaction=True)


def dump() -> str:
    stream = io.StringIO()
    call_command("dumpdata", "tickets", stdout=stream)
    return stream.getvalue()


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


def test_a_row_without_a_log_is_a_new_one(tmp_path: Path) -> None:
    def ticket(phase: str) -> Any:
        return [{"model": "tickets.ticket", "pk": 1, "fields": {"title": "a", "phase": phase}}]

    load(tmp_path, ticket("open"))
    assert [line.to_state for line in Ticket.objects.get().state_machine.history] == ["open"]
    empty()
    with pytest.raises(IntegrityError, match="cannot be closed: it begins as open"):
        load(tmp_path, ticket("closed"))
    assert not Ticket.objects.exists()


def test_a_log_is_not_changed_by_a_fixture(tmp_path: Path) -> None:
    Ticket.objects.create(title="a", assignee="ann").state_machine.transition("taken", reason="true")
    with pytest.raises(IntegrityError, match="never changed"):
        load(tmp_path, dump().replace('"true"', '"false"'))
    assert Ticket.objects.get().state_machine.history.last().reason == "true"
