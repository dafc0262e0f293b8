"""Policies: what they cost beside a WHERE that an application would write, as a role that no policy limits.

In SQL, over a table by hand with the same rows and the same indexes. The claims of the request are there before, as
PostgREST has them.
"""

import hashlib
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg

from pgcraft_django.embedded import Server
from tests.bench.measuring import alternate, compare
from tests.bench.project import connect, migrated
from tests.bench.report import Figure

MOST = 1.1
"""Times what the query with a WHERE takes."""

PART = "Policies"
ROWS = 100_000
OWNERS = 1_000
AGAIN = 1_000
"""Keys that another row had before."""
BATCH = 50
"""Statements in one measurement."""

MODELS = """\
from django.db import models
from django.db.models import Q

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftAppendOnly, PGCraftEAV, PGCraftSimple, PGCraftStateMachine
from pgcraft_django.policies import Claim, OwnerPolicy, Policy, TenantPolicy

OPEN = API(grants={"webuser": ["select"]})


class Account(PGCraftSimple):
    owner = models.IntegerField(db_index=True)

    class Meta:
        db_table = "accounts"

    class PGCraft:
        api = None


class Owned(PGCraftSimple):
    owner = models.IntegerField(db_index=True)
    text = models.TextField()

    class Meta:
        db_table = "owned"

    class PGCraft:
        api = OPEN
        policies = [OwnerPolicy("owner")]


class Rented(PGCraftSimple):
    tenant = models.UUIDField(db_index=True)
    text = models.TextField()

    class Meta:
        db_table = "rented"

    class PGCraft:
        api = OPEN
        policies = [TenantPolicy("tenant", claim="tenant")]


class Linked(PGCraftSimple):
    account = models.ForeignKey(Account, models.CASCADE)
    text = models.TextField()

    class Meta:
        db_table = "linked"

    class PGCraft:
        api = OPEN
        policies = [Policy("owner", using=Q(account__owner=Claim("sub")))]


class Student(PGCraftAppendOnly):
    owner = models.IntegerField(db_index=True)
    text = models.TextField()

    class Meta:
        db_table = "students"

    class PGCraft:
        api = OPEN
        history_api = OPEN
        policies = [OwnerPolicy("owner")]


class Thing(PGCraftEAV):
    owner = models.IntegerField(db_index=True)
    text = models.TextField()

    class Meta:
        db_table = "things"

    class PGCraft:
        api = OPEN
        attribute_api = OPEN
        policies = [OwnerPolicy("owner")]


class Order(PGCraftStateMachine):
    owner = models.IntegerField(db_index=True)
    state = models.TextField(choices=[("new", "new"), ("done", "done")], default="new")

    class Meta:
        db_table = "orders"

    class PGCraft:
        transitions = {"new": ["done"]}
        transition_api = OPEN
        policies = [OwnerPolicy("owner")]
"""

BY_HAND = """\
CREATE SCHEMA plain;
CREATE TABLE plain.accounts (id bigint PRIMARY KEY, owner integer NOT NULL);
CREATE TABLE plain.owned (id bigint PRIMARY KEY, owner integer NOT NULL, text text NOT NULL);
CREATE TABLE plain.rented (id bigint PRIMARY KEY, tenant uuid NOT NULL, text text NOT NULL);
CREATE TABLE plain.linked (
    id bigint PRIMARY KEY, account_id bigint NOT NULL REFERENCES plain.accounts, text text NOT NULL
);
CREATE INDEX ON plain.accounts (owner);
CREATE INDEX ON plain.owned (owner);
CREATE INDEX ON plain.rented (tenant);
CREATE INDEX ON plain.linked (account_id);
CREATE TABLE plain.things (id bigint PRIMARY KEY, owner integer NOT NULL);
CREATE TABLE plain.orders (id bigint PRIMARY KEY, owner integer NOT NULL);
CREATE INDEX ON plain.things (owner);
CREATE INDEX ON plain.orders (owner);
"""

# In an order that the index does not know.
FILL = {
    "accounts": f"id, owner) SELECT n, mod(n * 7919, {OWNERS}) FROM generate_series(1, {OWNERS}) AS n",
    "owned": f"id, owner, text) SELECT n, mod(n * 7919, {OWNERS}), 'Text ' || n FROM generate_series(1, {ROWS}) AS n",
    "rented": (
        f"id, tenant, text) SELECT n, md5(mod(n * 7919, {OWNERS})::text)::uuid, 'Text ' || n"
        f" FROM generate_series(1, {ROWS}) AS n"
    ),
    "linked": (
        f"id, account_id, text) SELECT n, 1 + mod(n * 7919, {OWNERS}), 'Text ' || n"
        f" FROM generate_series(1, {ROWS}) AS n"
    ),
}

# Each row has two lines in its log, or a former version, and of some keys another row had lines before.
LOGGED = {
    "things": f"""\
INSERT INTO private.things (id, owner, text) SELECT n, 0, 'Text' FROM generate_series(1, {AGAIN}) AS n;
DELETE FROM private.things;
INSERT INTO private.things (id, owner, text)
SELECT n, mod(n * 7919, {OWNERS}), 'Text ' || n FROM generate_series(1, {ROWS // 2}) AS n;
""",
    "orders": f"""\
INSERT INTO private.orders (id, owner) SELECT n, 0 FROM generate_series(1, {AGAIN}) AS n;
DELETE FROM private.orders;
INSERT INTO private.orders (id, owner)
SELECT n, mod(n * 7919, {OWNERS}) FROM generate_series(1, {ROWS // 2}) AS n;
UPDATE private.orders SET state = 'done';
""",
    "students": f"""\
INSERT INTO private.students (id, owner, text)
SELECT n, mod(n * 7919, {OWNERS}), 'Text ' || n FROM generate_series(1, {ROWS}) AS n;
UPDATE private.students SET text = '';
""",
}
# By hand the log has only lines of the rows that are there.
COPY_LOGS = """\
INSERT INTO plain.things SELECT id, owner FROM private.things;
INSERT INTO plain.orders SELECT id, owner FROM private.orders;
CREATE TABLE plain.things_attribute (LIKE private.things_attribute INCLUDING INDEXES);
CREATE TABLE plain.orders_transition (LIKE private.orders_transition INCLUDING INDEXES);
INSERT INTO plain.things_attribute
SELECT * FROM private.things_attribute
WHERE log_id > (SELECT max(log_id) FROM private.things_attribute WHERE operation = 'delete');
INSERT INTO plain.orders_transition
SELECT * FROM private.orders_transition
WHERE (id, step) NOT IN (
    SELECT id, min(step) FROM private.orders_transition WHERE from_state IS NULL GROUP BY id HAVING count(*) > 1
);
"""

IN = "id IN (SELECT {0}.id FROM plain.{0} WHERE {0}.owner = %(owner)s)"
WHERE = {
    "owner": ("owned", "plain.owned", "owner = %(owner)s"),
    "tenant": ("rented", "plain.rented", "tenant = %(tenant)s::uuid"),
    "owner through a foreign key": ("linked", "plain.linked", f"account_{IN.format('accounts')}"),
    # Beside the same relation: what it costs itself is measured elsewhere.
    "owner in attributes": ("things", "private.things", "owner = %(owner)s"),
    "owner in a history": ("students_history", "private.students_history", "owner = %(owner)s"),
    "owner in a log of attributes": ("things_attribute", "plain.things_attribute", IN.format("things")),
    "owner in a log of states": ("orders_transition", "plain.orders_transition", IN.format("orders")),
}
"""What is one's own -> the view, and by whom it is to be seen in which relation."""


def measure(server: Server, runs: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Yield how much longer a query takes by policies than by a WHERE."""
    with (
        migrated(server, "bench_policies", MODELS, by_hand=BY_HAND, ROLES=["anon", "webuser"]),
        connect(server, "bench_policies") as database,
        connect(server, "bench_policies") as request,
    ):
        for table, rows in FILL.items():
            for schema in ("private", "plain"):
                database.execute(f"INSERT INTO {schema}.{table} ({rows}")
                database.execute(f"VACUUM (ANALYZE) {schema}.{table}")
        for sql in (*LOGGED.values(), COPY_LOGS):
            database.execute(sql)
        database.execute("VACUUM (ANALYZE)")
        request.execute("SET ROLE webuser")
        for name, (view, relation, condition) in WHERE.items():
            say(f"policies: {name}")
            ours = partial(_milliseconds, request, f"SELECT * FROM api.{view}")
            theirs = partial(_milliseconds, database, f"SELECT * FROM {relation} WHERE {condition}")
            for side in (ours, theirs):
                side()  # once for caches and prepared statements
            pairs = alternate(runs, ours, theirs)
            yield compare(
                pairs, part=PART, name=f"rows of one {name}", against="a WHERE", medians_unit="ms", at_most=MOST
            )


def _milliseconds(session: "psycopg.Connection[Any]", sql: str) -> float:
    """Return how long the statement takes, for one person after another."""
    seconds = 0.0
    for _ in range(BATCH):
        owner = random.randrange(OWNERS)
        tenant = str(uuid.UUID(hashlib.md5(str(owner).encode(), usedforsecurity=False).hexdigest()))
        claims = json.dumps({"sub": str(owner), "tenant": tenant})
        session.execute("SELECT set_config('request.jwt.claims', %s, false)", [claims])
        began = time.perf_counter()
        rows = session.execute(sql, {"owner": owner, "tenant": tenant}, prepare=True).fetchall()
        seconds += time.perf_counter() - began
        assert len(rows) in (ROWS // OWNERS, ROWS // OWNERS // 2), f"{len(rows)} rows by {sql}"
    return seconds / BATCH * 1000
