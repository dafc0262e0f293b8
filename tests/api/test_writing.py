"""What a writer of the API can do: insert, update, upsert, replace and delete."""

from typing import Any

import httpx
import pytest

from tests.api.rows import FIRST_NEW_ID
from tests.support.served import Served

RETURN = {"Prefer": "return=representation"}


def one(answer: httpx.Response) -> Any:
    """Return the only row of an answer that must be a success."""
    assert answer.is_success, answer.text
    (row,) = answer.json()
    return row


def prefer(*wishes: str) -> dict[str, str]:
    return {"Prefer": ", ".join(("return=representation", *wishes))}


def test_an_insert_answers_with_what_the_next_read_shows(school: Served) -> None:
    answer = school.webuser.post("/users", json={"name": "Eve", "email": "eve@school.example"}, headers=RETURN)
    assert answer.status_code == 201
    row = one(answer)
    assert row == {"id": row["id"], "name": "Eve", "email": "eve@school.example"}
    assert row["id"] >= FIRST_NEW_ID
    assert one(school.anon.get(f"/users?id=eq.{row['id']}")) == row


def test_an_insert_tells_where_the_row_is(school: Served) -> None:
    answer = school.webuser.post(
        "/courses", json={"code": "pe", "title": "Sports"}, headers={"Prefer": "return=headers-only"}
    )
    assert (answer.status_code, answer.content) == (201, b"")
    assert one(school.anon.get(answer.headers["Location"])) == {"code": "pe", "title": "Sports"}


def test_many_rows_are_inserted_at_once_or_not_at_all(school: Served) -> None:
    rows = [{"code": f"c{number}", "title": f"Course {number}"} for number in range(500)]
    assert len(school.webuser.post("/courses", json=rows, headers=RETURN).json()) == 500
    answer = school.webuser.post("/courses", json=[{"code": "new", "title": "x"}, {"code": "art", "title": "x"}])
    assert answer.status_code == 409
    assert school.anon.get("/courses?code=eq.new").json() == []


def test_rows_are_inserted_from_csv(school: Served) -> None:
    headers = {"Content-Type": "text/csv", **RETURN}
    answer = school.webuser.post("/courses", content='code,title\npe,"Sports, all"\nlat,Latin\n', headers=headers)
    assert answer.json() == [{"code": "pe", "title": "Sports, all"}, {"code": "lat", "title": "Latin"}]


def test_an_update_changes_the_rows_that_match(school: Served) -> None:
    answer = school.webuser.patch("/students?mentor_id=eq.1", json={"name": "X"}, headers=RETURN)
    assert {(row["id"], row["name"]) for row in answer.json()} == {(2, "X"), (3, "X")}
    assert school.anon.get("/students?select=name&order=id").json() == [
        {"name": name} for name in ("Ann", "X", "X", "Di")
    ]


def test_a_delete_removes_the_rows_that_match(school: Served) -> None:
    answer = school.webuser.delete("/students_courses?student_id=eq.1", headers=RETURN)
    assert {row["course_id"] for row in answer.json()} == {"art", "math"}
    assert [row["student_id"] for row in school.anon.get("/students_courses").json()] == [2]


def test_a_delete_leaves_what_others_refer_to(school: Served) -> None:
    answer = school.webuser.delete("/courses?code=eq.math")
    assert (answer.status_code, answer.json()["code"]) == (409, "23503")
    assert len(school.anon.get("/courses").json()) == 3


def test_a_check_of_the_model_refuses_a_row(school: Served) -> None:
    answer = school.webuser.post("/lunches", json={"price": 1, "dish": "air", "amount": 0})
    assert (answer.status_code, answer.json()["code"]) == (400, "23514")


# -- Upserts -----------------------------------------------------------------------------------------------------


def test_an_upsert_on_the_key_merges(school: Served) -> None:
    rows = [{"id": 2, "name": "Robert", "email": None}, {"id": 77, "name": "New", "email": "new@school.example"}]
    answer = school.webuser.post("/users", json=rows, headers=prefer("resolution=merge-duplicates"))
    assert answer.is_success
    assert answer.json() == rows
    assert school.anon.get("/users?id=in.(2,77)&order=id").json() == rows
    hints = school.execute("SELECT password_hint FROM private.users WHERE id IN (2, 77) ORDER BY id")
    assert hints == [("red",), ("",)]


def test_an_upsert_on_a_unique_column_merges(school: Served) -> None:
    rows = [{"name": "Alicia", "email": "alice@school.example"}, {"name": "New", "email": "new@school.example"}]
    answer = school.webuser.post("/users?on_conflict=email", json=rows, headers=prefer("resolution=merge-duplicates"))
    first, second = answer.json()
    assert first == {"id": 1, "name": "Alicia", "email": "alice@school.example"}
    assert second["id"] >= FIRST_NEW_ID
    assert school.execute("SELECT password_hint FROM private.users WHERE id = 1") == [("blue",)]


@pytest.mark.parametrize("conflict", ["", "?on_conflict=email"])
def test_an_upsert_can_leave_rows_that_are_there(school: Served, conflict: str) -> None:
    rows = [
        {"id": 1, "name": "Alicia", "email": "alice@school.example"},
        {"id": 77, "name": "New", "email": "new@school.example"},
    ]
    answer = school.webuser.post(f"/users{conflict}", json=rows, headers=prefer("resolution=ignore-duplicates"))
    assert answer.json() == rows[1:]
    assert one(school.anon.get("/users?id=eq.1"))["name"] == "Alice"


def test_an_upsert_knows_composite_natural_and_uuid_keys(school: Served) -> None:
    merge = prefer("resolution=merge-duplicates")
    seat = {"room": "A", "number": 1, "taken_by": "Ben"}
    assert one(school.webuser.post("/seats", json=seat, headers=merge)) == seat
    course = {"code": "art", "title": "Arts"}
    assert one(school.webuser.post("/courses", json=course, headers=merge)) == course
    club = one(school.webuser.post("/clubs", json={"name": "Rowing"}, headers=RETURN))
    assert one(school.webuser.post("/clubs", json={**club, "name": "Sailing"}, headers=merge))["id"] == club["id"]
    assert [len(school.anon.get(path).json()) for path in ("/seats", "/courses", "/clubs")] == [2, 3, 3]


def test_put_creates_and_replaces_one_row(school: Served) -> None:
    row = {"id": 50, "name": "Put", "email": "put@school.example"}
    assert one(school.webuser.put("/users?id=eq.50", json=row, headers=RETURN)) == row
    row["name"] = "Put again"
    assert one(school.webuser.put("/users?id=eq.50", json=row, headers=RETURN)) == row
    assert one(school.anon.get("/users?id=eq.50")) == row
    seat = {"room": "A", "number": 2, "taken_by": None}
    assert one(school.webuser.put("/seats?room=eq.A&number=eq.2", json=seat, headers=RETURN)) == seat


# -- Defaults ----------------------------------------------------------------------------------------------------


def test_a_database_default_fills_what_is_left_out(school: Served) -> None:
    club = one(school.webuser.post("/clubs", json={"name": "Go"}, headers=RETURN))
    membership = {"student_id": 1, "club_id": club["id"]}
    row = one(school.webuser.post("/memberships", json=membership, headers=RETURN))
    assert row["since"] is not None
    assert row["role"] == "member"


def test_what_some_rows_leave_out_gets_its_default_where_a_client_prefers_that(school: Served) -> None:
    """PostgREST inserts all `columns` of all rows, and takes for what is missing the default of the view itself."""
    known = one(school.webuser.post("/presets", json={}, headers=RETURN))
    del known["id"]
    path, rows = f"/presets?columns={','.join(known)}", [{"text": "given"}, {"nothing": "given"}]
    answer = school.webuser.post(path, json=rows, headers=prefer("missing=default"))
    assert answer.status_code == 201, answer.text
    assert [{**row, "id": 0} for row in answer.json()] == [{**known, **row, "id": 0} for row in rows]
    key = answer.json()[0]["id"]
    changed = school.webuser.patch(f"{path}&id=eq.{key}", json={"big": 1}, headers=prefer("missing=default"))
    assert one(changed) == {**known, "big": 1, "id": key}
    rows = [{"name": "Go"}, {"id": "00000000-0000-4000-8000-00000000000a", "name": "Bridge"}]
    made = school.webuser.post("/clubs?columns=id,name", json=rows, headers=prefer("missing=default"))
    assert [row["name"] for row in made.json()] == ["Go", "Bridge"], made.text
    assert one(school.anon.get(f"/clubs?id=eq.{made.json()[0]['id']}"))["name"] == "Go"


def test_a_generated_column_is_computed_and_never_written(school: Served) -> None:
    row = one(school.webuser.post("/lunches", json={"price": 1.25, "amount": 3, "dish": "pie"}, headers=RETURN))
    assert (row["total"], row["label"]) == (3.75, "PIE")
    row = one(school.webuser.patch(f"/lunches?id=eq.{row['id']}", json={"amount": 4}, headers=RETURN))
    assert row["total"] == 5
    for answer in (
        school.webuser.post("/lunches", json={"price": 1, "dish": "pie", "total": 9}),
        school.webuser.patch(f"/lunches?id=eq.{row['id']}", json={"total": 9}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "428C9")
    assert one(school.anon.get(f"/lunches?id=eq.{row['id']}")) == row


def test_small_and_plain_counted_keys_count(school: Served) -> None:
    for path in ("/tickets", "/coins"):
        first, second = (one(school.webuser.post(path, json={}, headers=RETURN)) for _ in range(2))
        assert second["id"] == first["id"] + 1


def test_rows_go_to_another_api_schema_by_its_name(school: Served) -> None:
    headers = {"Content-Profile": "reports", **RETURN}
    row = one(school.webuser.post("/reports", json={"title": "Monthly", "author_id": 2}, headers=headers))
    assert school.execute(f"SELECT title FROM archive.reports WHERE id = {row['id']}") == [("Monthly",)]
