"""Models of factories beside a plain one with the same fields: what is done to both at random has the same outcome."""

import datetime
import os
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import pytest
from django.apps.registry import Apps
from django.core.exceptions import FieldError, MultipleObjectsReturned, ObjectDoesNotExist
from django.db import Error, models, transaction
from django.db.models import Avg, Case, Count, Exists, F, Max, Min, OuterRef, Q, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, Length, Lower

from pgcraft_django.models import PGCraftAppendOnly, PGCraftSimple
from tests.eav.catalogue import declare, define, product_fields
from tests.eav.conftest import Shop
from tests.support.databases import run_without_triggers
from tests.support.world import evolved

RUNS = int(os.environ.get("PGCRAFT_LIKE_RUNS", "12"))
STEPS = 25
KEYS = range(1, 7)

VALUES: dict[str, list[Any]] = {
    "sku": ["a", "b", "c", "ä", "A", ""],
    "color": [None, "red", "RED", "", "x" * 3000],
    "weight": [None, Decimal("1.000001"), Decimal("0"), Decimal("-1"), Decimal("2.50")],
    "price": [None, Decimal("0.10"), Decimal("9.99")],
    "stock": [0, 1, 2, 7, -1],
    "is_sold": [True, False],
    "since": [None, datetime.date(2026, 1, 2), datetime.date(1, 1, 1)],
    "seen": [None, datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)],
    "lasts": [None, datetime.timedelta(days=1, microseconds=1), datetime.timedelta(0)],
    "code": [None, uuid.UUID(int=7), uuid.UUID(int=8)],
    "ratio": [None, 0.1 + 0.2, -1.5, float("inf")],
    "details": [None, {"a": 1}, {"a": {"b": [1, None]}}, [], "text", 0],
    "marks": [None, [], [Decimal("1.50"), None]],
    "order": [None, "1", "2"],
    "category_id": [None, 1, 2, 99],
    "parent_id": [None, 1, 2, 3],
}


def declare_all(apps: Apps) -> None:
    declare(apps, fields={"seen": models.DateTimeField(null=True)})
    for name, table, base in (("Record", "records", PGCraftAppendOnly), ("Plain", "plain", PGCraftSimple)):
        fields = product_fields()
        fields["seen"] = models.DateTimeField(null=True)
        fields["category"] = models.ForeignKey("shop.Category", models.CASCADE, null=True, related_name=table)
        fields["parent"] = models.ForeignKey("self", models.SET_NULL, null=True, related_name="parts")
        one_a_day = models.UniqueConstraint(
            Lower("color"), "since", name=f"{table}_a_day", condition=Q(since__isnull=False)
        )
        weighed = models.CheckConstraint(condition=Q(weight__gt=0) | Q(price=None), name=f"{table}_weighed")
        define(apps, name, table, base, fields, {"constraints": [weighed, one_a_day]}, api=None)


@pytest.fixture(scope="module")
def _all(django_db_blocker: Any) -> Iterator[Shop]:
    with django_db_blocker.unblock(), evolved(declare_all) as (world, site):
        yield Shop(world, site)


@pytest.fixture
def shop(_all: Shop, unblocked: None) -> Shop:
    return _all


Outcome = tuple[str, Any]


class Run:
    """Steps that are taken in a factory's model and in a plain one."""

    def __init__(self, shop: Shop, name: str, number: int) -> None:
        self.shop = shop
        self.random = random.Random(number)
        self.sides = (name, "Plain")
        self.remembered: list[tuple[datetime.datetime, list[dict[str, Any]]]] = []
        tables = ("products_entity", "products_attribute", "records", "records_history", "plain", "categories")
        run_without_triggers(shop.site.alias, *(f"DELETE FROM {table}" for table in tables))
        categories = [shop.model("Category")(id=key, name=name) for key, name in ((1, "tools"), (2, "toys"))]
        shop.rows("Category").bulk_create(categories)

    # -- What is chosen ----------------------------------------------------------------------------------------

    def values(self, number: int | None = None) -> dict[str, Any]:
        names = self.random.sample(sorted(VALUES), number or self.random.randint(1, 5))
        return {name: self.random.choice(VALUES[name]) for name in names}

    def row(self) -> dict[str, Any]:
        return {"id": self.random.choice(KEYS), "sku": self.random.choice(VALUES["sku"]), **self.values()}

    def leaf(self) -> Q:
        name = self.random.choice([*sorted(VALUES), "id"])
        value = self.random.choice(list(KEYS) if name == "id" else VALUES[name])
        kinds = [Q(**{f"{name}__isnull": self.random.random() < 0.5})]
        if value is not None and name not in ("details", "marks"):
            kinds += [Q(**{name: value}), Q(**{f"{name}__in": [value, value]})]
            if not isinstance(value, bool | uuid.UUID) and not name.endswith("_id"):
                kinds += [
                    Q(**{f"{name}__lt": value}),
                    Q(**{f"{name}__gte": value}),
                    Q(**{f"{name}__range": (value, value)}),
                ]
        if name in ("sku", "color", "order"):
            kinds += [
                Q(**{f"{name}__icontains": "a"}),
                Q(**{f"{name}__regex": "^[a-c]"}),
                Q(**{f"{name}__iexact": "red"}),
            ]
        if name in ("since", "seen"):
            kinds += [Q(**{f"{name}__year": 2026}), Q(**{f"{name}__month__gt": 1})]
        if name == "details":
            kinds += [Q(details__a=1), Q(details__a__b__0=1), Q(details__has_key="a"), Q(details__contains={"a": 1})]
        if name == "marks":
            kinds += [Q(marks__contains=[Decimal("1.5")]), Q(marks__len=0), Q(marks__0=Decimal("1.5"))]
        if name == "category_id":
            kinds += [Q(category__name="tools"), Q(category__name__isnull=True)]
        if name == "parent_id":
            kinds += [Q(parent__stock__gt=0), Q(parent__color="red"), Q(parts__isnull=True), Q(parts__sku="a")]
        if name in ("stock", "id"):
            kinds += [Q(stock__gt=F("id")), Q(stock=F("parent__stock")), Q(weight__lt=F("price"))]
        return self.random.choice(kinds)

    def condition(self, depth: int = 2) -> Q:
        if not depth or self.random.random() < 0.4:
            found = self.leaf()
        else:
            one, other = self.condition(depth - 1), self.condition(depth - 1)
            found = self.random.choice([one & other, one | other, one ^ other])
        return ~found if self.random.random() < 0.3 else found

    def changes(self) -> dict[str, Any]:
        given = self.values()
        given.pop("sku", None)
        computed: dict[str, Any] = {
            "stock": F("stock") + self.random.choice([1, -1]),
            "weight": Case(When(self.leaf(), then=F("price")), default=F("weight")),
            "color": Coalesce("order", Value("none")),
            "order": Lower("color"),
            "ratio": F("stock") * 0.5,
            "price": F("price") + F("weight"),
            "is_sold": Case(When(self.condition(1), then=Value(True)), default=Value(False)),
        }
        name = self.random.choice(sorted(computed))
        return {**given, name: computed[name]} if self.random.random() < 0.5 else (given or {name: computed[name]})

    # -- Steps: each returns what is done to the rows of either model ---------------------------------------------

    def create(self) -> Callable[[Any], Any]:
        row = self.row()
        return lambda rows: rows.create(**row).pk

    def bulk_create(self) -> Callable[[Any], Any]:
        given = [self.row() for _ in range(3)]
        return lambda rows: [item.pk for item in rows.bulk_create([rows.model(**row) for row in given])]

    def save(self) -> Callable[[Any], Any]:
        key, values, partly = self.random.choice(KEYS), self.values(), self.random.random() < 0.5

        def do(rows: Any) -> Any:
            item = rows.get(pk=key)
            for name, value in values.items():
                setattr(item, name, value)
            item.save(update_fields=[*values] if partly else None)

        return do

    def upsert(self) -> Callable[[Any], Any]:
        row, partly = self.row(), self.random.random() < 0.5
        key = {"sku": row.pop("sku")} if partly else {"id": row.pop("id")}
        return lambda rows: rows.update_or_create(**key, defaults=row)[1]

    def get_or_create(self) -> Callable[[Any], Any]:
        row = self.row()
        return lambda rows: rows.get_or_create(sku=row["sku"], defaults=row)[1]

    def insert_or_update(self) -> Callable[[Any], Any]:
        given = [self.row() for _ in range(3)]
        names = self.random.sample(sorted(VALUES.keys() - {"sku"}), 2)
        conflict: dict[str, Any] = {
            "update_conflicts": True,
            "unique_fields": [self.random.choice(["id", "sku"])],
            "update_fields": names,
        }
        if self.random.random() < 0.3:
            conflict = {"ignore_conflicts": True}
        return lambda rows: len(rows.bulk_create([rows.model(**row) for row in given], **conflict))

    def update(self) -> Callable[[Any], Any]:
        condition, changes = self.condition(), self.changes()
        kinds: list[Callable[[Any], Any]] = [
            lambda rows: rows.filter(condition).update(**changes),
            lambda rows: rows.exclude(condition).order_by("-id").update(**changes),
            lambda rows: rows.filter(condition).distinct().update(**changes),
            lambda rows: rows.annotate(twice=F("stock") * 2).filter(condition, twice__gt=1).update(stock=F("twice")),
            lambda rows: rows.filter(pk__in=rows.filter(condition).values("parent_id")).update(**changes),
            lambda rows: rows.filter(condition)[:1].update(**changes),
            lambda rows: rows.annotate(n=Count("parts")).filter(condition, n__gt=0).update(**changes),
            lambda rows: (),
            lambda rows: rows.annotate(n=Subquery(rows.values("stock")[:1])).filter(n__gte=0).update(stock=F("n")),
            lambda rows: rows.alias(n=Length("sku")).filter(condition, n__gt=0).order_by("n").update(**changes),
            lambda rows: rows.select_related("category").only("sku").filter(condition).update(**changes),
            lambda rows: rows.values("id", "sku").filter(condition).update(**changes),
            lambda rows: rows.filter(condition).union(rows.filter(condition)).update(**changes),
            lambda rows: rows.values("is_sold").annotate(n=Count("id")).filter(n__gt=1).update(**changes),
            lambda rows: rows.none().update(**changes),
        ]
        return self.random.choice([kinds[0], *kinds])

    def bulk_update(self) -> Callable[[Any], Any]:
        names = self.random.sample(sorted(VALUES.keys() - {"sku"}), 2)
        given = {key: {name: self.random.choice(VALUES[name]) for name in names} for key in KEYS}
        return lambda rows: rows.bulk_update([rows.model(pk=key, **values) for key, values in given.items()], names)

    def delete(self) -> Callable[[Any], Any]:
        condition = self.condition()
        return lambda rows: rows.filter(condition).delete()[0]

    def read(self) -> Callable[[Any], Any]:
        condition, other = self.condition(), self.condition(1)
        order = [
            F(name).desc(nulls_last=True) for name in self.random.sample(["color", "weight", "since", "is_sold"], 2)
        ]
        names = self.random.sample(sorted(VALUES.keys() - {"details", "marks"}), 3)
        first = self.random.randint(0, 2)
        kinds: list[Callable[[Any], Any]] = [
            lambda rows: list(rows.filter(condition).exclude(other).order_by(*order, "id").values_list("id", *names)),
            lambda rows: list(rows.exclude(condition).order_by("id").values_list("id", flat=True)[first : first + 2]),
            lambda rows: rows.filter(condition).aggregate(
                Sum("stock"), Avg("price"), Min("since"), Max("sku"), Count("code")
            ),
            lambda rows: list(rows.values("is_sold").annotate(n=Count("id"), s=Sum("weight")).order_by("is_sold")),
            lambda rows: list(rows.filter(condition).order_by(names[0]).values_list(names[0], flat=True).distinct()),
            lambda rows: list(
                rows.filter(Exists(rows.filter(condition, parent_id=OuterRef("pk")))).order_by("id").values_list("id")
            ),
            lambda rows: list(
                rows.filter(condition).union(rows.filter(other)).order_by("id").values_list("id", *names)
            ),
            lambda rows: list(
                rows.annotate(long=Length("color"), is_there=Case(When(condition, then=Value(1)), default=Value(0)))
                .order_by("id")
                .values_list("id", "long", "is_there", "category__name", "parent__sku")
            ),
            lambda rows: [
                (item.pk, item.parent and item.parent.sku, item.category and item.category.name)
                for item in rows.filter(condition).select_related("parent", "category").order_by("id")
            ],
            lambda rows: sorted(rows.filter(condition).in_bulk()),
            lambda rows: list(rows.filter(condition).dates("since", "month")),
            lambda rows: list(rows.filter(condition).datetimes("seen", "day")),
            lambda rows: rows.filter(condition).earliest("since", "id").pk,
            lambda rows: sorted(item.pk for item in rows.filter(condition).distinct().iterator()),
            lambda rows: sorted(item.pk for item in rows.filter(stock__gt=0).select_for_update(skip_locked=True)),
            lambda rows: (rows.filter(condition).exists(), rows.filter(condition).count(), rows.exclude(other).count()),
            lambda rows: list(rows.filter(condition).order_by("id").only("sku").values_list("sku")),
            lambda rows: [(item.pk, [part.pk for part in item.parts.order_by("id")]) for item in rows.order_by("id")],
        ]
        return self.random.choice(kinds)

    # -- The run ---------------------------------------------------------------------------------------------------

    def outcome(self, side: str, do: Callable[[Any], Any], in_block: bool, roll_back: bool) -> Outcome:
        alias = self.shop.site.alias
        try:
            with transaction.atomic(using=alias) if in_block else nullcontext():
                found = do(self.shop.rows(side))
                if in_block:
                    transaction.set_rollback(roll_back, using=alias)
        except Error as failure:
            return type(failure).__name__, getattr(failure.__cause__, "sqlstate", None)
        except (FieldError, TypeError, ObjectDoesNotExist, MultipleObjectsReturned) as failure:
            return type(failure).__bases__[0].__name__, None
        return "done", found

    def rows(self, rows: Any) -> list[dict[str, Any]]:
        found = rows.order_by("id").values(*(field.attname for field in self.shop.model("Plain")._meta.concrete_fields))
        return [{**row, "raw": row["raw"] and bytes(row["raw"])} for row in found]

    def step(self) -> None:
        steps = [self.create, self.create, self.bulk_create, self.save, self.upsert, self.get_or_create, self.update]
        steps += [self.update, self.bulk_update, self.delete, self.read, self.read, self.read]
        if self.sides[0] != "Product":  # PostgreSQL has no ON CONFLICT for views with triggers
            steps += [self.insert_or_update, self.insert_or_update]
        step = self.random.choice(steps)
        do, in_block, roll_back = step(), self.random.random() < 0.5, self.random.random() < 0.2
        found, expected = (self.outcome(side, do, in_block, roll_back) for side in self.sides)
        assert found == expected, step.__name__
        found_rows, expected_rows = (self.rows(self.shop.rows(side)) for side in self.sides)
        assert found_rows == expected_rows, step.__name__
        [[now]] = self.shop.query("SELECT clock_timestamp()")
        self.remembered.append((now, expected_rows))

    def check_log(self) -> None:
        """Each line begins with what the one before it has left, and what the last ones have left is in the rows."""
        left: dict[tuple[int, str], Any] = {}
        for line in self.shop.rows("ProductAttribute").order_by("id", "step"):
            assert left.pop((line.id, line.attribute), None) == line.old_value != line.new_value
            if line.new_value is not None:
                left[line.id, line.attribute] = line.new_value
        fields = {field.column: field for field in self.shop.model()._meta.concrete_fields}
        assert {(key, name): fields[name].to_python(value) for (key, name), value in left.items()} == {
            (row["id"], name): row[field.attname]
            for row in self.rows(self.shop.rows())
            for name, field in fields.items()
            if name != "id" and row[field.attname] is not None
        }

    def check_history(self) -> None:
        """At each time there was what there had been in the plain table."""
        for when, expected in self.remembered:
            assert self.rows(self.shop.rows("Record").as_of(when)) == expected


def test_attributes_are_like_columns(shop: Shop) -> None:
    for number in range(RUNS):
        run = Run(shop, "Product", number)
        for _ in range(STEPS):
            run.step()
        run.check_log()


def test_a_table_with_a_history_is_like_one_without(shop: Shop) -> None:
    for number in range(RUNS):
        run = Run(shop, "Record", number)
        for _ in range(STEPS):
            run.step()
        run.check_history()
