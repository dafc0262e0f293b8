"""Rows are led on in the admin by buttons, as the machine and the user's permissions allow."""

import re
import uuid
from typing import Any
from unittest import mock

import pytest
from django.contrib.admin import ModelAdmin, StackedInline, TabularInline
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from pgcraft_django.admin import StateMachineAdmin
from tests.support.forms import client_of, errors, filled_in, serve
from tests.tickets.admin import TicketAdmin
from tests.tickets.models import Desk, Errand, Ticket, Urgent

pytestmark = pytest.mark.django_db


@pytest.fixture
def ticket() -> Ticket:
    return Ticket.objects.create(title="It's <broken>", assignee="ann")


@pytest.fixture
def root() -> Client:
    return client_of("root", superuser=True)


def url(action: str, *arguments: object) -> str:
    return reverse(f"admin:tickets_ticket_{action}", args=arguments)


def buttons(client: Client, ticket: Ticket) -> list[str]:
    """Return the states that the page of the ticket has buttons for."""
    page = client.get(url("change", ticket.pk)).content.decode()
    forms = dict(re.findall(r'id="(pgcraft-transition-\d+)">.*?name="to" value="(\w+)"', page, re.DOTALL))
    return [forms[form] for form in re.findall(r'<input type="submit" form="([\w-]+)"', page)]


def press(client: Client, ticket: Ticket, to: str, *, seen: str = "open", **values: Any) -> Any:
    """Press a button, confirm it if there are `values`, and return the page that comes then."""
    return client.post(url("transition", ticket.pk), {"from": seen, "to": to, **values}, follow=True)


def confirm(client: Client, ticket: Ticket, to: str, *, seen: str = "open", **values: Any) -> list[str]:
    """Press a button and confirm it; return the messages that are shown."""
    answer = press(client, ticket, to, seen=seen, confirmed="yes", **values)
    assert answer.status_code == 200
    return [str(message) for message in answer.context["messages"]]


def steps(ticket: Ticket) -> list[tuple[Any, ...]]:
    return list(ticket.state_machine.history.values_list("from_state", "to_state", "reason", "minutes"))


def test_there_is_a_button_for_each_way_that_is_open(root: Client, ticket: Ticket) -> None:
    assert buttons(root, ticket) == ["taken", "closed"]
    Ticket.objects.update(assignee="")
    assert buttons(root, ticket) == ["closed"]  # the guard
    ticket.state_machine.transition("closed")
    assert buttons(root, ticket) == []
    assert client_of("clerk", "change_ticket", "view_ticket").get(url("change", ticket.pk)).status_code == 200


def test_a_button_asks_and_then_the_row_is_led_on(root: Client, ticket: Ticket) -> None:
    asked = press(root, ticket, "taken")
    assert list(asked.context["form"].fields) == ["reason", "minutes", "helper"]
    assert "In work" in asked.content.decode()
    assert (steps(ticket), asked.redirect_chain) == ([(None, "open", None, None)], [])
    helper = get_user_model().objects.get()
    said = {"reason": "urgent", "minutes": "5", "helper": str(helper.pk)}
    assert confirm(root, ticket, "taken", **said) == ["The state is now In work."]
    assert ticket.state_machine.history.last().helper == helper
    assert steps(ticket)[1:] == [("open", "taken", "urgent", 5)]
    page = root.get(url("change", ticket.pk)).content.decode()
    assert re.search(r"<td>Open</td><td>In work</td><td></td><td>urgent</td><td>5</td><td>root</td>", page)


def test_the_log_is_read_at_once(root: Client, ticket: Ticket) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            root.get(url("change", ticket.pk))
        return len(captured)

    def step(to: str) -> None:
        helper = get_user_model().objects.create_user(f"helper {to} {uuid.uuid4()}")
        ticket.state_machine.transition(to, helper=helper)

    step("taken")
    count()  # what Django looks up once
    before = count()
    for to in ("open", "taken", "open", "taken"):
        step(to)
    assert count() == before
    assert root.get(url("change", ticket.pk)).content.decode().count("<td>helper ") == 5


def test_the_latest_lines_of_the_log_are_found_by_an_index(root: Client, ticket: Ticket) -> None:
    with CaptureQueriesContext(connection) as captured, connection.cursor() as cursor:
        root.get(url("change", ticket.pk))
        [read] = [query["sql"] for query in captured if "LIMIT 100" in query["sql"]]
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {read}")
        plan = str(cursor.fetchall())
    assert "Index Scan Backward using support_tickets_transition_step" in plan
    assert "Sort" not in plan


def test_what_no_text_can_hold_is_no_state(root: Client, ticket: Ticket) -> None:
    assert confirm(root, ticket, "clo\0sed") == ["support_tickets have no state clo\ufffdsed."]
    assert "is now open, not" in confirm(root, ticket, "closed", seen="\0open")[0]


def test_what_is_asked_for_is_judged_first(root: Client, ticket: Ticket) -> None:
    answer = press(root, ticket, "taken", confirmed="yes", minutes="many")
    assert answer.context["form"].errors.keys() == {"minutes"}
    assert len(steps(ticket)) == 1


def test_without_confirmation_a_button_is_enough(root: Client, ticket: Ticket) -> None:
    with mock.patch.object(TicketAdmin, "confirm_transitions", new=False):
        press(root, ticket, "taken")
    assert steps(ticket)[1:] == [("open", "taken", None, None)]


def test_who_comes_too_late_is_told(root: Client, ticket: Ticket) -> None:
    Ticket.objects.get().state_machine.transition("taken")
    assert confirm(root, ticket, "closed") == [f"support_tickets {ticket.pk} is now taken, not open."]
    assert Ticket.objects.get().phase == "taken"
    assert confirm(root, ticket, "closed", seen="taken") == ["The state is now Closed <for good>."]


def test_what_is_not_declared_or_open_is_refused_with_a_message(root: Client, ticket: Ticket) -> None:
    Ticket.objects.update(assignee="")
    [guard] = confirm(root, ticket, "taken")
    assert "cannot become taken as it is" in guard
    [unknown] = confirm(root, ticket, "lost")
    assert "have no state lost" in unknown
    [none] = confirm(root, ticket, "")
    assert "have no state" in none
    Ticket.objects.all().delete()
    assert "exist. Perhaps it was deleted?" in confirm(root, ticket, "closed")[0]
    assert root.get(url("transition", 1)).status_code == 405


def test_permissions_decide_who_sees_and_presses_buttons(ticket: Ticket) -> None:
    clerk, reader = client_of("clerk", "change_ticket"), client_of("reader", "view_ticket")
    nobody = client_of("nobody")
    assert (buttons(clerk, ticket), buttons(reader, ticket)) == (["taken"], [])
    for client, to in ((clerk, "closed"), (reader, "taken"), (nobody, "taken")):
        assert press(client, ticket, to, confirmed="yes").status_code == 403
    assert press(Client(), ticket, "taken", confirmed="yes").redirect_chain[0][0].startswith(reverse("admin:login"))
    assert len(steps(ticket)) == 1
    assert confirm(clerk, ticket, "taken") == ["The state is now In work."]
    assert [nobody.post(url("transition", key), {"to": "taken"}).status_code for key in (ticket.pk, 987654)] == [
        403
    ] * 2


def test_another_site_cannot_press_a_button(ticket: Ticket) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(get_user_model().objects.create_superuser("root"))
    assert client.post(url("transition", ticket.pk), {"from": "open", "to": "closed"}).status_code == 403


def test_a_proxy_is_led_on_as_its_model(root: Client, ticket: Ticket) -> None:
    assert Urgent.objects.get(pk=ticket.pk).state_machine.allowed() == ["taken", "closed"]
    page = root.get(reverse("admin:tickets_urgent_change", args=[ticket.pk])).content.decode()
    assert page.count('name="to"') == 2
    address = reverse("admin:tickets_urgent_transition", args=[ticket.pk])
    for message in ("The state is now In work.", f"support_tickets {ticket.pk} is now taken, not open."):
        answer = root.post(address, {"from": "open", "to": "taken", "confirmed": "yes"}, follow=True)
        assert [str(item) for item in answer.context["messages"]] == [message]


def test_the_state_cannot_be_typed_in(root: Client, ticket: Ticket) -> None:
    form = root.get(url("change", ticket.pk)).context["adminform"].form
    assert form.fields.keys() == {"title", "assignee", "desk"}
    values = {"title": "New", "assignee": "bob", "phase": "closed"}
    assert root.post(url("change", ticket.pk), values).status_code == 302
    assert Ticket.objects.values_list("title", "phase").get() == ("New", "open")
    assert root.post(url("add"), values).status_code == 302
    assert list(Ticket.objects.values_list("phase", flat=True)) == ["open", "open"]


def test_saving_a_form_does_not_take_a_step_back(root: Client, ticket: Ticket) -> None:
    """Somebody leads the row on after this request has read it."""
    save = TicketAdmin.save_model

    def slow(self: Any, request: Any, obj: Any, form: Any, change: bool) -> None:
        Ticket.objects.get().state_machine.transition("taken")
        save(self, request, obj, form, change)

    with mock.patch.object(TicketAdmin, "save_model", slow):
        assert root.post(url("change", ticket.pk), {"title": "New", "assignee": "bob"}).status_code == 302
    assert Ticket.objects.values_list("title", "phase").get() == ("New", "taken")


def test_a_row_keeps_its_key(root: Client) -> None:
    assert root.post(reverse("admin:tickets_errand_add"), {"name": "one"}).status_code == 302
    address = reverse("admin:tickets_errand_change", args=["one"])
    assert filled_in(root.get(address)) == {"note": ""}
    assert root.post(address, {"name": "two", "note": "new"}).status_code == 302
    assert Errand.objects.values_list("name", "note").get() == ("one", "new")
    with mock.patch.object(StateMachineAdmin, "prepopulated_fields", {"name": ["note"]}):
        pages = [root.get(reverse("admin:tickets_errand_add")), root.get(address)]
        assert [len(page.context["adminform"].prepopulated_fields) for page in pages] == [1, 0]


def test_names_and_reasons_are_shown_as_text(root: Client, ticket: Ticket) -> None:
    confirm(root, ticket, "closed", reason="<script>alert(1)</script>")
    for page in (root.get(url("change", ticket.pk)), press(root, ticket, "closed", seen="<b>")):
        text = page.content.decode()
        assert "<script>alert" not in text
        assert "<b>" not in text
        assert "<broken>" not in text
        assert "Closed &lt;for good&gt;" in text


def test_a_step_is_in_the_log_of_the_admin(root: Client, ticket: Ticket) -> None:
    confirm(root, ticket, "taken")
    assert "Open → In work" in root.get(url("history", ticket.pk)).content.decode()


# -- On the page of another object -------------------------------------------------------------------------------------


@pytest.fixture
def desk(ticket: Ticket) -> Desk:
    found = Desk.objects.create(name="left")
    Ticket.objects.update(desk=found)
    return found


def address(desk: Desk) -> str:
    return reverse("admin:tickets_desk_change", args=[desk.pk])


def test_an_object_shows_states_to_read_and_leads_to_the_buttons(root: Client, ticket: Ticket, desk: Desk) -> None:
    page = root.get(address(desk))
    assert re.search(r'<td class="field-phase">\s*<p>Open</p>', page.content.decode())
    assert url("change", ticket.pk) in page.content.decode()
    values = filled_in(page)
    assert values["ticket_set-0-title"] == "It's <broken>"
    assert "ticket_set-0-phase" not in values
    sent = {"ticket_set-0-title": "New", "ticket_set-0-phase": "closed", "ticket_set-1-title": "Other", "name": "right"}
    assert root.post(address(desk), {**values, **sent, "ticket_set-1-phase": "taken"}).status_code == 302
    assert Desk.objects.get().name == "right"
    assert list(Ticket.objects.order_by("pk").values_list("title", "phase")) == [("New", "open"), ("Other", "open")]


def test_saving_an_object_takes_no_step_of_its_rows_back(root: Client, ticket: Ticket, desk: Desk) -> None:
    """Somebody leads the row on after this request has read it."""
    values, save = {**filled_in(root.get(address(desk))), "ticket_set-0-title": "New"}, Ticket.save

    def slow(self: Ticket, *args: Any, **options: Any) -> None:
        Ticket.objects.get().state_machine.transition("taken")
        save(self, *args, **options)

    with mock.patch.object(Ticket, "save", slow):
        assert root.post(address(desk), values).status_code == 302
    assert Ticket.objects.values_list("title", "phase").get() == ("New", "taken")


REFUSED = [
    (TabularInline, "closed", "open", "It is closed, and cannot become open."),
    (StackedInline, "open", "taken", "It cannot become taken as it is: the condition for that is not met."),
    (TabularInline, "open", "lost", "Select a valid choice. lost is not one of the available choices."),
]


@pytest.mark.parametrize(("inline", "before", "to", "message"), REFUSED)
def test_where_django_lets_people_choose_the_state_the_form_says_what_is_refused(
    root: Client, ticket: Ticket, desk: Desk, settings: Settings, inline: Any, before: str, to: str, message: str
) -> None:
    inlines = [type("Inline", (inline,), {"model": Ticket})]
    serve(settings, {Desk: type("Page", (ModelAdmin,), {"inlines": inlines}), Ticket: ModelAdmin})
    Ticket.objects.update(assignee="")
    if before != "open":
        ticket.state_machine.transition(before)
    sent = {"ticket_set-0-phase": to, "ticket_set-0-title": "New", "name": "right"}
    page = root.post(address(desk), {**filled_in(root.get(address(desk))), **sent})
    assert errors(page) == [message]
    assert filled_in(page).items() >= sent.items()
    page = root.post(url("change", ticket.pk), {"title": "New", "phase": to})
    assert errors(page) == [message]
    assert filled_in(page).items() >= {"title": "New", "phase": to}.items()
    assert Desk.objects.get().name == "left"
    assert Ticket.objects.values_list("title", "phase").get() == ("It's <broken>", before)


def test_where_django_lets_people_choose_it_a_step_is_taken_and_logged(
    root: Client, ticket: Ticket, desk: Desk, settings: Settings
) -> None:
    inlines = [type("Inline", (TabularInline,), {"model": Ticket})]
    serve(settings, {Desk: type("Page", (ModelAdmin,), {"inlines": inlines})})
    values = {**filled_in(root.get(address(desk))), "ticket_set-0-phase": "closed"}
    begun = root.post(address(desk), {**values, "ticket_set-1-title": "Other", "ticket_set-1-phase": "taken"})
    assert errors(begun) == ["A new row cannot be taken: it begins as open."]
    assert steps(ticket)[1:] == []
    assert root.post(address(desk), values).status_code == 302
    assert steps(ticket)[1:] == [("open", "closed", None, None)]


def test_a_list_that_django_lets_people_edit_says_what_is_refused(
    root: Client, ticket: Ticket, settings: Settings
) -> None:
    options = {"list_display": ["title", "phase"], "list_editable": ["phase"]}
    serve(settings, {Ticket: type("Page", (ModelAdmin,), options)})
    ticket.state_machine.transition("closed")
    sent = {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": ticket.pk, "form-0-phase": "open"}
    page = root.post(url("changelist"), {**sent, "_save": "Save"})
    assert page.context["cl"].formset.errors == [{"phase": ["It is closed, and cannot become open."]}]
