"""Policies on models whose fields are attributes: PostgreSQL applies them to the entities, whatever is written how."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import psycopg
import pytest
from django.apps.registry import Apps
from django.db import Error, ProgrammingError, connections, models, transaction
from django.db.models import F, Q
from django.db.models.lookups import Exact

import pgcraft_django
from pgcraft_django.api import API
from pgcraft_django.models import PGCraftEAV, PGCraftForeignKey, PGCraftSimple, PGCraftStateMachine
from pgcraft_django.policies import Claim, OwnerPolicy, Policy, PublicReadPolicy
from tests.eav.catalogue import define
from tests.support.databases import administrator, run_without_triggers
from tests.support.served import Served, repeated, serve
from tests.support.world import Site, World, new_site

ANN, BOB = "1", "2"
GRANTS = {"anon": ["select"], "webuser": "all"}


def of_readers() -> list[Policy]:
    """Return policies that speak of other rows, of the key alone, and of nothing."""
    by_key = Policy("key", commands=["select"], using=Q(pk=Claim("id")) & Q(Exact(F("pk"), 7)))
    return [Policy("readers", using=Q(readers__name=Claim("sub"))), by_key, PublicReadPolicy(roles=["staff"])]


def declare(apps: Apps) -> None:
    """Define models whose policies speak of attributes, of references, of hidden columns, of single commands."""
    text = models.TextField
    define(apps, "Box", "boxes", PGCraftSimple, {"owner": text(db_index=True)}, api=None)
    define(
        apps,
        "Thing",
        "things",
        PGCraftEAV,
        {
            "name": text(null=True, unique=True),
            "owner": text(db_index=True, default="nobody"),
            "stock": models.IntegerField(default=0),
            "order": text(null=True, db_column="Größe, order"),
            "box": models.ForeignKey("shop.Box", models.CASCADE, null=True, related_name="things"),
        },
        policies=[
            OwnerPolicy("owner"),
            Policy("box", commands=["select"], using=Q(box__owner=Claim("sub"))),
            Policy("sold_out", commands=["delete"], using=Q(stock=0), permissive=False),
            Policy("sql", commands=["insert"], check="stock < 1000 AND current_user <> 'nobody'", permissive=False),
        ],
        attribute_api=API(grants={"webuser": ["select"]}),
        extra=True,
        extra_api=API(grants={"webuser": ["select", "insert"]}),
        api=[
            API(grants=GRANTS),
            API("hidden", columns=["id", "name"], grants={"webuser": "all"}),
            API("letters", columns=["name", "owner"], grants={"webuser": ["insert"]}),
        ],
    )
    define(
        apps,
        "Label",
        "labels",
        PGCraftSimple,
        {"text": text(), "thing": PGCraftForeignKey("shop.Thing", models.CASCADE, related_name="labels")},
        policies=[Policy("owner", using=Q(thing__owner=Claim("sub")))],
        api=API(grants=GRANTS),
    )
    define(
        apps,
        "Memo",
        "memos",
        PGCraftEAV,
        {"owner": text(null=True, db_index=True), "text": text(null=True)},
        policies=[OwnerPolicy("owner")],
        attribute_api=API(grants={"webuser": ["select"]}),
        api=API(grants=GRANTS),
    )
    define(
        apps,
        "Diary",
        "diaries",
        PGCraftEAV,
        {"text": text(null=True)},
        policies=of_readers(),
        attribute_api=API(grants={"webuser": ["select"]}),
    )
    define(
        apps,
        "Parcel",
        "parcels",
        PGCraftStateMachine,
        {"text": text(null=True), "state": text(default="new")},
        policies=of_readers(),
        transitions={"new": ["sent"]},
        transition_api=API(grants={"webuser": ["select"]}),
    )
    for name, table in (("Diary", "diaries"), ("Parcel", "parcels")):
        reference = PGCraftForeignKey(f"shop.{name}", models.CASCADE, related_name="readers")
        fields = {"name": text(db_index=True), "of": reference}
        define(apps, f"{name}Reader", f"{table}_readers", PGCraftSimple, fields, api=None)
    define(
        apps,
        "Page",
        "pages",
        PGCraftEAV,
        {"id": text(primary_key=True), "author": models.IntegerField(db_index=True)},
        policies=[PublicReadPolicy(), OwnerPolicy("author", roles=["webuser"], commands=["update"])],
        api=API(grants={"webuser": ["select", "insert", "update", "delete"]}),
    )


@pytest.fixture(scope="module")
def made(django_db_blocker: Any) -> Iterator[tuple[Served, Site, World]]:
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        world = World()
        site = stack.enter_context(new_site())
        site.migrate(world.evolve(declare))
        yield stack.enter_context(serve(site.alias)), site, world


class Stock:
    """The things, and who asks for them."""

    def __init__(self, served: Served, site: Site, world: World) -> None:
        self.served, self.site, self.world = served, site, world

    def ask(self, person: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        headers = {"Prefer": "return=representation", **headers, **self.served.token(role="webuser", sub=person)}
        return self.served.anon.request(method, path, json=body, headers=headers)

    def new(self, person: str = ANN, path: str = "/things", **values: Any) -> Any:
        answer = self.ask(person, "POST", path, {"owner": person, **values})
        assert answer.status_code == 201, answer.text
        return answer.json()[0]

    def session(self, person: str = ANN, role: str = "webuser") -> Any:
        return pgcraft_django.as_role(role, claims={"sub": person}, using=self.site.alias)


@pytest.fixture
def stock(made: tuple[Served, Site, World], unblocked: None) -> Iterator[Stock]:
    yield Stock(*made)
    tables = (
        *("things_entity", "things_attribute", "things_extra", "memos_entity", "memos_attribute"),
        *("pages_entity", "labels", "boxes"),
    )
    run_without_triggers(made[1].alias, *(f"DELETE FROM {table}" for table in tables))


def test_each_command_has_its_own_policies(stock: Stock) -> None:
    thing = stock.new(stock=5)
    one = f"/things?id=eq.{thing['id']}"
    assert stock.ask(ANN, "DELETE", one).json() == []
    assert stock.ask(ANN, "PATCH", one, {"stock": 0}).json() == [{**thing, "stock": 0}]
    assert stock.ask(ANN, "POST", "/things", {"owner": ANN, "stock": 1000}).status_code == 403
    assert stock.ask(ANN, "PATCH", one, {"stock": 1000}).status_code == 200
    stock.ask(ANN, "PATCH", one, {"stock": 0})
    assert len(stock.ask(ANN, "DELETE", one).json()) == 1
    stock.site.query("INSERT INTO pages (id, author) VALUES ('a', 1), ('b', 2)")
    assert len(stock.ask(ANN, "GET", "/pages").json()) == 2
    assert [row["id"] for row in stock.ask(ANN, "PATCH", "/pages?author=gt.0", {"author": 1}).json()] == ["a"]
    assert stock.ask(ANN, "POST", "/pages", {"id": "c", "author": 1}).status_code == 403
    assert stock.ask(ANN, "DELETE", "/pages?id=eq.a").json() == []


def test_what_an_api_does_not_show_counts_too(stock: Stock) -> None:
    mine, hers = stock.new(ANN), stock.new(BOB)
    assert [row["id"] for row in stock.ask(ANN, "GET", "/hidden").json()] == [mine["id"]]
    changed = stock.ask(ANN, "PATCH", "/hidden?id=gt.0", {"name": "x"}).json()
    assert changed == [{"id": mine["id"], "name": "x"}]
    assert stock.ask(ANN, "DELETE", f"/hidden?id=eq.{hers['id']}").json() == []
    # It would belong to nobody, the default.
    assert stock.ask(ANN, "POST", "/hidden", {"name": "y"}).status_code == 403
    assert stock.ask(ANN, "POST", "/letters", {"name": "y", "owner": BOB}, Prefer="").status_code == 403
    assert stock.ask(ANN, "POST", "/letters", {"name": "y", "owner": ANN}, Prefer="").status_code == 201
    assert stock.site.query("SELECT id, name, owner FROM things WHERE owner <> '1'") == [(hers["id"], None, BOB)]


def test_a_reference_decides_from_either_side(stock: Stock) -> None:
    [(box,)] = stock.site.query("INSERT INTO boxes (owner) VALUES ('2') RETURNING id")
    thing = stock.new(ANN, box_id=box)
    one = f"/things?id=eq.{thing['id']}&select=*,labels(text)"
    assert stock.ask(ANN, "POST", "/labels", {"text": "a", "thing_id": thing["id"]}).status_code == 201
    assert stock.ask(BOB, "POST", "/labels", {"text": "b", "thing_id": thing["id"]}).status_code == 403
    assert stock.ask(ANN, "GET", one).json() == [{**thing, "labels": [{"text": "a"}]}]
    assert stock.ask(BOB, "GET", one).json() == [{**thing, "labels": []}]
    assert stock.ask(BOB, "PATCH", one, {"name": "x"}).json() == []
    assert stock.ask("3", "GET", one).json() == stock.ask(BOB, "GET", "/labels?select=*,things(*)").json() == []


def test_an_upsert_neither_changes_nor_takes_what_is_hidden(stock: Stock) -> None:
    thing = stock.new(ANN, name="a")
    for taken in ({"id": thing["id"], "owner": BOB}, {"name": "a", "owner": BOB}):
        assert stock.ask(BOB, "POST", "/rpc/things_upsert", taken).status_code == 409
    assert stock.ask(ANN, "POST", "/rpc/things_upsert", {"name": "a", "owner": BOB}).status_code == 403
    assert stock.ask(ANN, "POST", "/rpc/things_upsert", {"name": "a", "stock": 3}).json() == [{**thing, "stock": 3}]


def test_the_log_is_seen_by_who_sees_the_row_and_definitions_by_who_may(stock: Stock) -> None:
    assert stock.ask(ANN, "POST", "/things_extra", {"name": "colour", "type": "text"}).status_code == 201
    thing = stock.new(ANN, extra={"colour": "red"})
    log = f"/things_attribute?id=eq.{thing['id']}&select=new_value&attribute=eq.extra.colour"
    assert stock.ask(ANN, "GET", log).json() == [{"new_value": "red"}]
    assert stock.ask(BOB, "GET", log).json() == []
    assert stock.ask(BOB, "GET", "/things_extra?select=name").json() == [{"name": "colour"}]
    assert stock.ask(BOB, "PATCH", f"/things?id=eq.{thing['id']}", {"extra": {}}).json() == []


def refused(stock: Stock, sql: str) -> str:
    with pytest.raises(Error) as found, transaction.atomic(using=stock.site.alias):
        stock.site.query(sql)
    return str(found.value)


GIVE = "INSERT INTO {}.things (name, owner) VALUES ('given', '2')"


def test_who_came_first_in_a_transaction_does_not_decide_for_others(stock: Stock) -> None:
    alias = stock.site.alias
    with transaction.atomic(using=alias):
        stock.site.query(GIVE.format("api"))  # the owner may
        stock.site.query("UPDATE api.things SET name = 'again'")
        with stock.session(ANN):
            assert "row-level security" in refused(stock, GIVE.format("api"))
            assert stock.site.query("UPDATE api.things SET name = 'taken' RETURNING id") == []
            stock.site.query("INSERT INTO api.things (name, owner) VALUES ('mine', '1')")
            assert "row-level security" in refused(stock, "UPDATE api.things SET owner = '2'")
        with stock.session(BOB):
            assert stock.site.query("UPDATE api.things SET stock = 0 RETURNING name") == [("again",)]
            assert stock.site.query("DELETE FROM api.things RETURNING name") == [("again",)]
    assert stock.site.query("SELECT name, owner FROM things") == [("mine", ANN)]


def test_the_orm_writes_as_a_request_what_the_request_may(stock: Stock) -> None:
    thing = stock.world.apps.get_model("shop", "Thing")
    rows = thing.objects.using(stock.site.alias)
    hers = rows.create(owner=BOB)
    with stock.session(ANN):
        mine = rows.create(owner=ANN, name="a")
        assert rows.filter(pk=mine.pk).update(stock=models.F("stock") + 1) == 1
        mine.name = "b"
        mine.save(using=stock.site.alias, update_fields=["name"])
        assert (rows.update(name="c"), rows.get().name, rows.filter(owner=BOB).delete()[0]) == (1, "c", 0)
    assert list(rows.order_by("pk").values_list("pk", "name", "stock")) == [(hers.pk, None, 0), (mine.pk, "c", 1)]


# What a session of the role may try, which no API stands before; `0` is the key of somebody else's row.
ATTACKS = {
    "the table itself": "SELECT * FROM private.things_entity",
    "its view": "SELECT * FROM private.things",
    "a key": "SELECT private.things_new_key()",
    "a row by hand": """
        SELECT api.pgcraft_things_insert(
            NULL, json_populate_record(NULL::api.things, '{"owner": "2", "stock": 0, "extra": {}}')
        )
    """,
    "giving away by hand": """
        SELECT api.pgcraft_things_update(thing, json_populate_record(thing, '{"owner": "2"}')) FROM api.things AS thing
    """,
    "emptied": "TRUNCATE private.things_entity",
    "copied": "COPY private.things_entity TO STDOUT",
    "the role of the owner": "SET ROLE postgres",
    "a trigger of its own": """
        CREATE TEMP TABLE mine (LIKE api.things);
        CREATE TRIGGER w BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION private.things_log()
    """,
}
SILENT = {
    "changed by hand": """
        SELECT api.pgcraft_things_update(
            json_populate_record(NULL::api.things, '{"id": 0, "name": "x"}'),
            json_populate_record(NULL::api.things, '{"id": 0, "name": "y"}')
        )
    """,
    "deleted by hand": """
        SELECT api.pgcraft_things_delete(json_populate_record(NULL::api.things, '{"id": 0}'), NULL)
    """,
    "settings": """
        SELECT set_config('pgcraft.role', 'postgres', false), set_config('is_superuser', 'on', false) WHERE false;
        UPDATE api.things SET name = 'x' WHERE id = 0
    """,
    "a function that looks": """
        CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001
            AS $$BEGIN PERFORM set_config('pgcraft.told', $1, false); RETURN true; END$$;
        UPDATE api.things SET name = 'x' WHERE pg_temp.tell(owner) OR id = 0
    """,
}


def alone(stock: Stock, person: str) -> psycopg.Connection:
    """Return a session of a role that may no more than `webuser`: there is no owner to fall back to."""
    session = administrator(stock.site.query("SELECT current_database()")[0][0])  # type: ignore[arg-type]
    session.execute("SET SESSION AUTHORIZATION webuser")
    session.execute("SELECT set_config('request.jwt.claims', %s, false)", [f'{{"sub": "{person}"}}'])
    return session


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_way_in_opens_nothing_by_hand(stock: Stock, attack: str) -> None:
    stock.new(ANN)
    with alone(stock, ANN) as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute(ATTACKS[attack])
    assert stock.site.query("SELECT owner FROM things") == [(ANN,)]


@pytest.mark.parametrize("attack", SILENT)
def test_what_is_not_seen_is_not_written_by_hand(stock: Stock, attack: str) -> None:
    key = stock.new(BOB)["id"]
    with alone(stock, ANN) as session:
        session.execute(SILENT[attack].replace("0", str(key)) if "COST" not in SILENT[attack] else SILENT[attack])
        [(told,)] = session.execute("SELECT current_setting('pgcraft.told', true)").fetchall()
    assert told is None
    assert stock.site.query("SELECT id, name, owner FROM things") == [(key, None, BOB)]


def test_changes_at_once_are_all_made(stock: Stock) -> None:
    key = stock.new(ANN)["id"]

    def write(number: int) -> int:
        values = {"Größe, order": f"c{number}"} if number % 2 else {"stock": number + 1}
        return repeated(lambda: stock.ask(ANN, "PATCH", f"/things?id=eq.{key}", values)).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(write, range(40))) == {200}
    counted = "SELECT attribute, count(*) FROM things_attribute WHERE operation = 'update' GROUP BY 1 ORDER BY 1"
    assert stock.site.query(counted) == [("Größe, order", 20), ("stock", 20)]


def test_who_finds_a_row_twice_changes_it_once_or_is_refused_for_good(stock: Stock) -> None:
    stock.new(ANN)
    twice = "UPDATE api.things SET stock = given.stock FROM (VALUES (1), ({})) AS given (stock) RETURNING things.stock"
    with stock.session(ANN):
        assert stock.site.query(twice.format(1)) == [(1,)]
        with pytest.raises(ProgrammingError, match="twice, to different values"), transaction.atomic(stock.site.alias):
            stock.site.query(twice.format(2).replace("(1)", "(3)"))
    assert stock.site.query("SELECT stock FROM things") == [(1,)]


def test_an_index_finds_the_entities_of_a_claim(stock: Stock) -> None:
    stock.site.query("INSERT INTO things (owner) SELECT (i % 500)::text FROM generate_series(1, 3000) AS i")
    stock.site.query("ANALYZE things_entity")
    with stock.session(ANN), connections[stock.site.alias].cursor() as cursor:
        cursor.execute("EXPLAIN SELECT * FROM api.things WHERE owner = '1'")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "InitPlan" in plan
    assert "things_owner_idx" in plan


def test_who_uses_a_key_again_reads_nothing_of_what_was_logged_of_the_former_row(stock: Stock) -> None:
    key = stock.new(ANN, name="a secret")["id"]
    assert stock.ask(ANN, "PATCH", f"/things?id=eq.{key}", {"name": "another"}).status_code == 200
    assert stock.ask(ANN, "DELETE", f"/things?id=eq.{key}").status_code == 200
    stock.new(BOB, id=key, name="mine")
    assert stock.ask(BOB, "PATCH", f"/things?id=eq.{key}", {"stock": 1}).status_code == 200
    path = f"/things_attribute?id=eq.{key}&select=attribute,old_value,new_value,actor&order=log_id"
    lines = stock.ask(BOB, "GET", path).json()
    assert {line["actor"] for line in lines} == {BOB}
    assert {"attribute": "name", "old_value": None, "new_value": "mine", "actor": BOB} in lines
    assert lines[-1] == {"attribute": "stock", "old_value": 0, "new_value": 1, "actor": BOB}
    assert stock.ask(ANN, "GET", path).json() == []


def test_what_a_row_said_is_hidden_also_if_it_said_nothing_when_it_went(stock: Stock) -> None:
    key = stock.new(ANN, "/memos", text="a secret")["id"]
    stock.site.query("UPDATE memos SET text = NULL, owner = NULL")
    stock.site.query("DELETE FROM memos")
    stock.new(BOB, "/memos", id=key, text="mine")
    lines = stock.ask(BOB, "GET", f"/memos_attribute?id=eq.{key}&select=attribute,new_value&order=attribute").json()
    assert lines == [{"attribute": "owner", "new_value": BOB}, {"attribute": "text", "new_value": "mine"}]


@pytest.mark.parametrize(("table", "log"), [("diaries", "diaries_attribute"), ("parcels", "parcels_transition")])
def test_who_finds_a_row_by_other_rows_or_its_key_reads_nothing_of_a_former_one(
    stock: Stock, table: str, log: str
) -> None:
    stock.site.query(f"INSERT INTO {table} (id, text) VALUES (7, 'a secret'), (9, 'of somebody else')")
    stock.site.query(f"DELETE FROM {table} WHERE id = 7")
    stock.site.query(f"INSERT INTO {table} (id, text) VALUES (7, 'mine')")
    stock.site.query(f"INSERT INTO {table}_readers (name, of_id) VALUES ('{BOB}', 7)")
    mine = [{"id": 7, "former": False}]
    for claims, lines in (({"sub": BOB}, mine), ({"sub": ANN, "id": 7}, mine), ({"sub": ANN, "id": 1}, [])):
        token = stock.served.token(role="webuser", **claims)
        answer = stock.served.anon.get(f"/{log}?select=id,former", headers=token)
        assert answer.json() == lines
