"""What each factory adds to the ORM where a request is granted a part: some columns, rows, balances or definitions."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.core.exceptions import ValidationError
from django.db import IntegrityError, ProgrammingError, connections, models, transaction
from django.utils import timezone

import pgcraft_django
from pgcraft_django import register
from pgcraft_django.api import API
from pgcraft_django.errors import IdempotencyConflict, RoleError, TransitionError
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftLedger, PGCraftStateMachine, Transition
from pgcraft_django.plugins import Balance
from pgcraft_django.policies import OwnerPolicy
from tests.eav.catalogue import define
from tests.policies.test_factories_as_role import Shop
from tests.support.world import evolved

BOOKING = {"anon": ["select"], "webuser": ["select", "insert"]}
READING = {"webuser": ["select"]}


def declare(apps: Apps) -> None:
    def text(**options: Any) -> Any:
        return models.TextField(**options)

    def balances() -> list[Balance]:
        return [
            Balance(["owner", "account"], api=API(grants={"anon": ["select"]})),
            Balance(["account"], name="total", api=API(grants=READING)),
        ]

    for name, policies, api in (
        ("Open", [], API(grants=BOOKING)),
        ("Owned", [OwnerPolicy("owner")], API(grants=BOOKING)),
        ("Registered", [OwnerPolicy("owner")], None),
    ):
        fields = {"owner": text(db_index=True), "account": text()}
        options = {"plugins": balances(), "idempotency": True, "policies": policies}
        ledger = define(apps, name, name.lower(), PGCraftLedger, fields, api=api, **options)
    register(ledger, api=API(grants=BOOKING), app_label="shop")
    hidden = {"exclude": ["secret"]}
    define(
        apps,
        "Contract",
        "contracts",
        PGCraftAppendOnly,
        {"title": text(), "secret": text(default="s")},
        api=API(grants={"webuser": "all", "anon": ["select"]}, **hidden),
        history_api=API(grants=READING, **hidden),
    )
    define(
        apps,
        "Paper",
        "papers",
        PGCraftAppendOnly,
        {"title": text()},
        api=API(grants=BOOKING),
        history_api=API(grants=READING),
    )
    deed = define(
        apps,
        "Deed",
        "deeds",
        PGCraftAppendOnly,
        {"title": text(), "secret": text(default="s")},
        api=None,
        history_api=API(grants=READING),
    )
    register(deed, api=API(grants={"webuser": "all"}, **hidden), app_label="shop")
    define(
        apps,
        "Goods",
        "goods",
        PGCraftEAV,
        {"name": text(unique=True), "price": models.IntegerField(null=True)},
        api=API(grants={"webuser": "all"}),
        extra=True,
    )
    define(
        apps,
        "Ticket",
        "tickets",
        PGCraftStateMachine,
        {"state": text(default="new")},
        api=[API(name="requests", grants={"webuser": "all"}), API(grants={"webuser": "all"})],
        transitions={"new": ["done"]},
        transition_grants={"webuser": "all"},
    )
    define(
        apps,
        "Visit",
        "visits",
        PGCraftStateMachine,
        {"state": text(default="new"), "paid": models.BooleanField(default=False)},
        api=API(columns=["id", "state"], grants={"webuser": "all"}),
        transitions={"new": [Transition("done", guard=models.Q(paid=True)), "gone"]},
        transition_grants={"webuser": "all"},
    )
    call = define(
        apps,
        "Call",
        "calls",
        PGCraftStateMachine,
        {"state": text(default="new"), "paid": models.BooleanField(default=False)},
        api=None,
        transitions={"new": [Transition("done", guard=models.Q(paid=True)), "gone"]},
        transition_grants={"webuser": "all"},
    )
    register(call, api=API(grants={"webuser": "all"}), app_label="shop")


@pytest.fixture(scope="module")
def made(django_db_blocker: Any) -> Iterator[Shop]:
    with django_db_blocker.unblock(), evolved(declare) as (world, site):
        found = Shop(world, site)
        for name in ("Open", "Owned", "Registered"):
            for owner in ("ann", "bob"):
                found.rows(name).record(owner=owner, account="A", value=5, idempotency_key=owner)
        yield found


@pytest.fixture
def shop(made: Shop, unblocked: None) -> Iterator[Shop]:
    with transaction.atomic(using=made.site.alias):
        yield made
        transaction.set_rollback(True, using=made.site.alias)


def test_balances_that_a_role_may_not_read_are_added_up(shop: Shop) -> None:
    rows = shop.rows("Open")
    with shop.request():
        assert (rows.balance(owner="ann", account="A"), rows.balance(account="A")) == (5, 10)
        assert [(row["owner"], row["balance"]) for row in rows.balances()] == [("ann", 5), ("bob", 5)]


@pytest.mark.parametrize("name", ["Owned", "Registered"])
def test_balances_that_policies_hide_are_those_of_the_visible_entries(shop: Shop, name: str) -> None:
    rows = shop.rows(name)
    with shop.request():
        assert (rows.balance(account="A"), rows.balance()) == (5, 5)
        assert list(rows.balances("account")) == [{"account": "A", "balance": 5}]
        assert list(rows.balances()) == [{"owner": "ann", "account": "A", "balance": 5}]
        assert (rows.balance(owner="ann", account="A"), rows.balance(owner="bob", account="A")) == (5, 0)


@pytest.mark.parametrize("name", ["Open", "Owned"])
def test_a_request_cannot_verify_a_ledger_of_which_it_sees_a_part(shop: Shop, name: str) -> None:
    for ask in ("verify", "checkpoint"):
        with shop.request(), pytest.raises(RoleError, match="looks at the whole ledger, which no request may"):
            getattr(shop.rows(name), ask)()
    with shop.request(), pytest.raises(RoleError, match="looks at the whole ledger, which no request may"):
        shop.rows(name).reconcile([{"account": "A", "balance": 3}])
    assert shop.rows(name).verify(full=True) == []


def test_a_key_of_a_hidden_entry_is_a_conflict(shop: Shop) -> None:
    rows = shop.rows("Owned")
    leg = {"owner": "bob", "account": "A", "value": 5}
    with shop.request():
        for book in (rows.record, rows.create):
            with (
                pytest.raises(IdempotencyConflict, match="'bob' belongs to an entry that webuser may not"),
                transaction.atomic(using=rows.db),
            ):
                book(**leg, idempotency_key="bob")
        assert rows.record(**{**leg, "owner": "ann"}, idempotency_key="ann").owner == "ann"


def test_the_past_has_the_columns_that_are_exposed(shop: Shop) -> None:
    rows = shop.rows("Contract")
    contract = rows.create(title="old")
    before = timezone.now()
    rows.filter(pk=contract.pk).update(title="new")
    with shop.request():
        then = rows.as_of(before)
        assert (then.values_list("title", flat=True).get(), then.count()) == ("old", 1)
        assert then.only("title").get().title == "old"
        assert rows.as_of(timezone.now()).values_list("title", flat=True).get() == "new"
        with pytest.raises(ProgrammingError, match="secret does not exist"), transaction.atomic(using=rows.db):
            then.values("secret").get()
    with (
        pytest.raises(ProgrammingError, match="permission denied for view contracts_history"),
        pgcraft_django.as_role("anon", using=rows.db),
    ):
        then.values("title").get()


def test_the_past_has_the_columns_that_register_exposes(shop: Shop) -> None:
    rows = shop.rows("Deed")
    rows.create(title="old")
    with shop.request():
        assert rows.values_list("title", flat=True).get() == "old"
        assert rows.as_of(timezone.now()).values_list("title", flat=True).get() == "old"


def test_a_deleted_row_is_restored_by_who_may_insert(shop: Shop) -> None:
    rows = shop.rows("Paper")
    there, gone = rows.create(title="there"), rows.create(title="gone")
    key = gone.pk
    there.title = "new"
    there.save()
    gone.delete()
    versions = rows.model.history.using(rows.db)
    with shop.request():
        assert versions.get(id=key).restore().title == "gone"
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic(using=rows.db):
            versions.get(id=there.pk).restore()


def test_attributes_are_updated_or_created_by_a_request(shop: Shop) -> None:
    rows = shop.rows("Goods")
    with shop.request():
        made, is_new = rows.update_or_create(name="a", defaults={"price": 1})
        again, is_new_again = rows.update_or_create(name="a", defaults={"price": 2})
        assert (is_new, is_new_again, made.pk) == (True, False, again.pk)
        assert rows.get(pk=made.pk).price == 2
        assert rows.update_or_create(name="b", create_defaults={"price": 3})[0].price == 3


def test_forms_leave_it_to_the_database_what_definitions_say_that_a_role_may_not_read(shop: Shop) -> None:
    rows = shop.rows("Goods")
    rows.model.pgcraft_extra.objects.using(rows.db).create(name="colour", type="text")
    goods = rows.create(name="a", extra={"colour": "red"})
    goods.extra = {"colour": 1}
    with pytest.raises(ValidationError):
        goods.validate_constraints()
    with shop.request():
        goods.validate_constraints()
        with (
            pytest.raises(IntegrityError, match="1 is no text, which colour has to be"),
            transaction.atomic(using=rows.db),
        ):
            goods.save()
        goods.extra = {"colour": "blue"}
        goods.validate_constraints()
        goods.save()
    assert rows.get(pk=goods.pk).extra == {"colour": "blue"}


def test_the_function_of_a_machine_is_called_like_its_first_api(shop: Shop) -> None:
    ticket = shop.rows("Ticket").create()
    with shop.request():
        assert ticket.state_machine.transition("done").to_state == "done"


def test_a_guard_on_a_hidden_column_is_left_to_the_transition(shop: Shop) -> None:
    visit = shop.rows("Visit").create()
    with shop.request():
        assert visit.state_machine.allowed() == ["done", "gone"]
        with (
            pytest.raises(TransitionError, match="the condition for that is not met"),
            transaction.atomic(visit._state.db),
        ):
            visit.state_machine.transition("done")
    assert visit.state_machine.allowed() == ["gone"]


def test_a_guard_on_a_column_that_register_exposes_counts(shop: Shop) -> None:
    call = shop.rows("Call").create()
    with shop.request():
        assert call.state_machine.allowed() == ["gone"]


def test_of_two_requests_that_update_an_attribute_none_is_lost(made: Shop, unblocked: None) -> None:
    rows = made.rows("Goods")
    goods = rows.create(name="both", price=1)
    failed: list[Exception] = []

    def update() -> None:
        try:
            with made.request():
                rows.filter(pk=goods.pk).update(price=models.F("price") + 1)
        except Exception as error:
            failed.append(error)
        finally:
            connections[made.site.alias].close()

    rival = threading.Thread(target=update)
    with made.request():
        rows.filter(pk=goods.pk).update(price=models.F("price") + 1)
        rival.start()
        rival.join(0.3)  # it waits for this transaction
        assert rival.is_alive()
    rival.join()
    assert (failed, rows.get(pk=goods.pk).price) == ([], 3)
