"""Which rows a request sees and writes, over HTTP."""

import json
import uuid
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models

import pgcraft_django
from pgcraft_django.api import API
from pgcraft_django.models import PGCraftSimple
from pgcraft_django.policies import OwnerPolicy
from tests.policies.conftest import School
from tests.support.world import Site, World

ANN, BOB, CID = 1, 2, 3


def new(school: School, path: str, person: int, body: dict[str, Any], **claims: Any) -> Any:
    answer = school.ask("POST", path, person, body, **claims)
    assert answer.status_code == 201, answer.text
    return answer.json()[0]


# What Ann writes; each belongs to her, however it says so.
ROWS: dict[str, dict[str, Any]] = {
    "/notes": {"text": "hers", "person_id": ANN},
    "/courses": {"title": "hers", "teacher_id": ANN},
    "/orders": {"person_id": ANN},
    "/pupils": {"name": "hers", "person_id": ANN},
}


@pytest.mark.parametrize("path", ROWS)
def test_who_owns_a_row_sees_and_writes_it_and_nobody_else_does(school: School, path: str) -> None:
    body = {key: f"hers {uuid.uuid4()}" if value == "hers" else value for key, value in ROWS[path].items()}
    owner = next(name for name in body if name.endswith("_id"))
    row = new(school, path, ANN, body)
    one = f"{path}?id=eq.{row['id']}"
    assert school.rows(one, ANN) == [row]
    for stranger in (BOB, None):
        assert school.rows(one, stranger) == []
        assert school.ask("GET", one, stranger, prefer="count=exact").headers["Content-Range"] == "*/0"
    assert school.ask("PATCH", one, BOB, {owner: BOB}).json() == []
    assert school.ask("DELETE", one, BOB).json() == []
    assert school.ask("PATCH", one, None, {owner: BOB}).status_code == 401
    assert school.ask("PATCH", one, ANN, {owner: BOB}).status_code == 403
    assert school.ask("POST", path, BOB, body).status_code == 403
    taken = school.ask("POST", path, BOB, [{**row, owner: BOB}], prefer="resolution=merge-duplicates")
    assert taken.status_code == 403
    assert school.rows(one, ANN) == [row]
    assert school.ask("DELETE", one, ANN).json() == [row]


def test_what_is_behind_a_relation_decides_and_needs_no_privilege(school: School) -> None:
    course = new(school, "/courses", ANN, {"title": "Logic", "teacher_id": ANN})
    lesson = new(school, "/lessons", ANN, {"title": "First", "course_id": course["id"]})
    one = f"/lessons?id=eq.{lesson['id']}&select=*,courses(title)"
    assert school.rows(one, ANN)[0]["courses"] == {"title": "Logic"}
    assert school.rows(one, BOB) == []
    assert school.ask("POST", "/lessons", BOB, {"title": "Mine", "course_id": course["id"]}).status_code == 403
    school.served.execute(f"INSERT INTO courses_pupils (course_id, person_id) VALUES ({course['id']}, {CID})")
    found = f"/courses?id=eq.{course['id']}&select=*,lessons(title)"
    assert school.rows(found, CID) == [{**course, "lessons": []}]
    assert school.rows(found, BOB) == []
    assert school.ask("PATCH", f"/courses?id=eq.{course['id']}", CID, {"title": "x"}).json() == []


def test_a_tenant_s_rows_stay_within_it(school: School) -> None:
    ours, theirs = str(uuid.uuid4()), str(uuid.uuid4())
    paper = {"text": "", "tenant": ours, "person_id": ANN, "is_public": False}
    row = new(school, "/papers", ANN, paper, org=ours)
    one = f"/papers?id=eq.{row['id']}"
    assert school.rows(one, ANN, org=ours) == [row]
    assert school.rows(one, ANN, org=theirs) == school.rows(one, BOB, org=ours) == school.rows(one, ANN) == []
    assert school.ask("POST", "/papers", ANN, paper, org=theirs).status_code == 403
    assert school.ask("PATCH", one, ANN, {"is_public": True}, org=ours).status_code == 200
    assert len(school.rows(one, BOB)) == len(school.rows(one, None)) == 1
    assert school.ask("DELETE", one, BOB, org=ours).json() == []


def test_a_claim_of_the_wrong_kind_opens_nothing(school: School) -> None:
    new(school, "/rooms", ANN, {"name": "", "tenant": ""}, tenant_id="")
    new(school, "/rooms", ANN, {"name": "", "tenant": "a"}, tenant_id="a")
    for claim in (None, [], {}, "A", "a ", True):
        assert school.rows("/rooms?tenant=eq.a", ANN, tenant_id=claim) == []
    assert school.rows("/rooms?tenant=eq.", ANN) == []
    for sub in ("x", "1; DROP TABLE notes", "99999999999999999999"):
        answer = school.ask("GET", "/notes", None)
        answer = school.ask("GET", "/notes", ANN, sub=sub)
        assert answer.status_code == 400


def test_a_claim_is_compared_with_json_as_json(world: World, site: Site) -> None:
    def declare(apps: Apps) -> None:
        inner = type(
            "PGCraft", (), {"api": API(grants={"webuser": ["select"]}), "policies": [OwnerPolicy("data__owner")]}
        )
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "boxes"})
        fields = {"data": models.JSONField()}
        type("Box", (PGCraftSimple,), {"__module__": __name__, "Meta": meta, "PGCraft": inner, **fields})

    site.migrate(world.evolve(declare))
    owners = ["ann", "1", 1, True, None]
    for owner in owners:
        site.query("INSERT INTO boxes (data) VALUES (%s)", [json.dumps({"owner": owner})])
    for claim in (*owners, "bob", "null", "[", {"a": 1}):
        with pgcraft_django.as_role("webuser", claims={"sub": claim}, using=site.alias):
            found = [json.loads(str(owner)) for (owner,) in site.query("SELECT data -> 'owner' FROM api.boxes")]
        expected = [] if claim is None or claim not in owners else [claim]
        assert [(type(owner), owner) for owner in found] == [(type(owner), owner) for owner in expected], claim


def test_a_policy_that_reads_the_past_protects_it_by_whose_it_was(school: School) -> None:
    row = new(school, "/pupils", ANN, {"name": "a", "person_id": ANN})
    school.ask("PATCH", f"/pupils?id=eq.{row['id']}", ANN, {"name": "b"})
    school.served.execute(f"UPDATE pupils SET person_id = {BOB} WHERE id = {row['id']}")
    school.served.execute(f"UPDATE pupils SET name = 'c' WHERE id = {row['id']}")
    past = f"/pupils_history?id=eq.{row['id']}&select=name&order=version"
    assert school.rows(past, ANN) == [{"name": "a"}, {"name": "b"}]
    assert school.rows(past, BOB) == [{"name": "b"}]
    assert school.rows(past, CID) == []
    school.served.execute("SET ROLE staff")
    seen = school.served.execute(f"SELECT count(*) FROM api.pupils_history WHERE id = {row['id']}")
    school.served.execute("RESET ROLE")
    assert seen == [(3,)]


def test_a_log_is_seen_by_who_sees_the_row(school: School) -> None:
    row = new(school, "/orders", ANN, {"person_id": ANN})
    log = f"/orders_transition?id=eq.{row['id']}&select=to_state"
    assert school.rows(log, ANN) == [{"to_state": "new"}]
    assert school.rows(log, BOB) == []
    step = {"id": row["id"], "to": "done"}
    assert school.ask("POST", "/rpc/orders_transition", BOB, step).status_code == 404
    assert school.rows(log, ANN) == [{"to_state": "new"}]
    assert school.ask("POST", "/rpc/orders_transition", ANN, step).status_code == 200


def test_a_ledger_and_its_balances_are_seen_by_whom_they_belong_to(school: School) -> None:
    account = str(uuid.uuid4())
    entry = {"person_id": ANN, "account": account, "value": 5}
    row = new(school, "/entrys", ANN, entry)
    assert school.ask("POST", "/rpc/entrys_record", ANN, entry).status_code == 200
    for path in ("/entrys", "/rpc/entrys_record"):
        assert school.ask("POST", path, BOB, entry).status_code == 403
    balance = f"/entrys_balance?account=eq.{account}&select=person_id,balance"
    assert school.rows(balance, ANN) == [{"person_id": ANN, "balance": 10}]
    for stranger in (BOB, CID):
        assert school.rows(f"/entrys?id=eq.{row['id']}", stranger) == school.rows(balance, stranger) == []
    # A total over rows of several people belongs to none of them.
    assert school.rows(f"/entrys_total?account=eq.{account}", ANN) == []


def test_a_token_leaves_nothing_behind_on_the_connection(school: School) -> None:
    new(school, "/notes", ANN, {"text": str(uuid.uuid4()), "person_id": ANN})
    for _ in range(10):
        assert school.rows("/notes", ANN)
        assert school.rows("/notes", None) == []


def test_a_claim_is_read_once_in_a_statement_and_an_index_finds_its_rows(school: School) -> None:
    execute = school.served.execute
    execute("INSERT INTO notes (text, person_id) SELECT 'n' || i, 1 + i % 3 FROM generate_series(1, 3000) AS i")
    execute("ANALYZE notes")
    execute("SET ROLE webuser")
    execute("""SELECT set_config('request.jwt.claims', '{"sub": "99"}', false)""")
    plan = "\n".join(line for (line,) in execute("EXPLAIN SELECT * FROM api.notes"))
    execute("RESET ROLE")
    execute("SELECT set_config('request.jwt.claims', '', false)")
    assert "InitPlan" in plan
    assert "Index Cond: (person_id = " in plan
    assert "current_setting" not in plan.split("Index Cond")[1].split("InitPlan")[0]


def test_an_index_finds_the_versions_of_a_claim(school: School) -> None:
    execute = school.served.execute
    execute("INSERT INTO pupils (name, person_id) SELECT 'p', 1 + i % 3 FROM generate_series(1, 3000) AS i")
    execute("UPDATE pupils SET name = 'q'")
    execute("ANALYZE pupils_history")
    execute("SET ROLE webuser")
    plan = "\n".join(line for (line,) in execute("EXPLAIN SELECT * FROM api.pupils_history"))
    execute("RESET ROLE")
    assert "Index Cond: (person_id = " in plan


def test_behind_a_relation_the_keys_are_asked_for_once_and_an_index_finds_their_rows(school: School) -> None:
    execute = school.served.execute
    execute("INSERT INTO courses (title, teacher_id) SELECT 'c', 2 FROM generate_series(1, 300)")
    execute("INSERT INTO lessons (title, course_id) SELECT 'l', id FROM courses, generate_series(1, 10)")
    execute("ANALYZE lessons")
    execute("SET ROLE webuser")
    plan = "\n".join(line for (line,) in execute("EXPLAIN SELECT * FROM api.lessons"))
    execute("RESET ROLE")
    assert "InitPlan" in plan
    assert "Index Cond: (course_id = ANY (" in plan


def test_who_uses_a_key_again_reads_nothing_of_what_was_logged_of_the_former_row(school: School) -> None:
    row = new(school, "/orders", ANN, {"person_id": ANN})
    step = {"id": row["id"], "to": "done", "reason": "a secret"}
    assert school.ask("POST", "/rpc/orders_transition", ANN, step).status_code == 200
    assert school.ask("DELETE", f"/orders?id=eq.{row['id']}", ANN).json() != []
    new(school, "/orders", BOB, {"id": row["id"], "person_id": BOB})
    log = f"/orders_transition?id=eq.{row['id']}&select=to_state,actor,reason"
    assert school.rows(log, BOB) == [{"to_state": "new", "actor": str(BOB), "reason": None}]
    assert school.rows(log, ANN) == []
