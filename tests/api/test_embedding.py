"""Embedding: related rows come along, both ways across every kind of relation."""

from typing import Any

import pytest

from tests.api.rows import CHESS, DRAMA
from tests.support.served import Served

ALICE = {"id": 1, "name": "Alice", "email": "alice@school.example"}


def read(served: Served, path: str) -> Any:
    answer = served.anon.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def named(rows: list[dict[str, Any]], key: str = "name") -> list[str]:
    return sorted(row[key] for row in rows)


def test_a_foreign_key_brings_its_target(school: Served) -> None:
    (row,) = read(school, "/students?select=*,users(*)&id=eq.1")
    assert row == {"id": 1, "name": "Ann", "user_id": 1, "mentor_id": None, "club_id": CHESS, "users": ALICE}
    assert read(school, "/students?select=users(*)&id=eq.3") == [{"users": None}]


def test_an_embedded_resource_takes_another_name(school: Served) -> None:
    (row,) = read(school, "/students?select=*,user:users(*)&id=eq.1")
    assert row["user"] == ALICE
    assert "users" not in row


def test_a_foreign_key_is_followed_backwards(school: Served) -> None:
    (row,) = read(school, "/users?select=name,students(name)&students.order=name&id=eq.1")
    assert row == {"name": "Alice", "students": [{"name": "Ann"}, {"name": "Ben"}]}


def test_a_resource_with_other_columns_embeds_as_well(school: Served) -> None:
    (row,) = read(school, "/students?select=user_names(*)&id=eq.1")
    assert row == {"user_names": {"id": 1, "name": "Alice"}}


def test_a_foreign_key_to_itself_goes_both_ways(school: Served) -> None:
    (row,) = read(school, "/students?select=mentor:mentor_id(name),mentees:students!mentor_id(name)&id=eq.2")
    assert row == {"mentor": {"name": "Ann"}, "mentees": [{"name": "Di"}]}


def test_a_one_to_one_brings_an_object_both_ways(school: Served) -> None:
    assert read(school, "/users?select=name,profiles(motto)&id=in.(1,2)&order=id") == [
        {"name": "Alice", "profiles": {"motto": "Onwards"}},
        {"name": "Bob", "profiles": None},
    ]
    assert read(school, "/profiles?select=motto,users(name)") == [{"motto": "Onwards", "users": {"name": "Alice"}}]


def test_a_foreign_key_to_another_column_goes_both_ways(school: Served) -> None:
    assert read(school, "/lockers?select=number,users(name)") == [{"number": 7, "users": {"name": "Alice"}}]
    assert read(school, "/users?select=lockers(number)&id=eq.1") == [{"lockers": [{"number": 7}]}]


def test_a_many_to_many_field_goes_both_ways(school: Served) -> None:
    (row,) = read(school, "/students?select=*,courses(*)&courses.order=code&id=eq.1")
    assert row["courses"] == [{"code": "art", "title": "Art"}, {"code": "math", "title": "Mathematics"}]
    (row,) = read(school, "/courses?select=title,students(name)&students.order=name&code=eq.math")
    assert row == {"title": "Mathematics", "students": [{"name": "Ann"}, {"name": "Ben"}]}
    assert read(school, "/students?select=courses(*)&id=eq.4") == [{"courses": []}]


def test_two_fields_between_the_same_models_keep_apart(school: Served) -> None:
    assert read(school, "/teachers?select=name,teaches(code),assists(code)&order=id") == [
        {"name": "Turing", "teaches": [{"code": "math"}], "assists": [{"code": "art"}]},
        {"name": "Lovelace", "teaches": [{"code": "art"}], "assists": []},
    ]
    (row,) = read(school, "/courses?select=teachers_via_teachers_teaches(name),assistants(name)&code=eq.art")
    assert row == {"teachers_via_teachers_teaches": [{"name": "Lovelace"}], "assistants": [{"name": "Turing"}]}


def test_a_field_to_its_own_model_is_embedded_by_its_name(school: Served) -> None:
    (row,) = read(school, "/students?select=name,admires(name),admirers(name),friends(name)&id=eq.1")
    assert row == {"name": "Ann", "admires": [], "admirers": [{"name": "Cy"}], "friends": [{"name": "Ben"}]}
    (row,) = read(school, "/students?select=admires(name)&admires.order=name.desc&id=eq.3")
    assert row == {"admires": [{"name": "Ben"}, {"name": "Ann"}]}


def test_a_linking_model_is_embedded_and_passed_through(school: Served) -> None:
    (row,) = read(school, "/clubs?select=name,memberships(role,students(name)),members(name)&name=eq.Drama")
    assert row == {
        "name": "Drama",
        "memberships": [{"role": "member", "students": {"name": "Ann"}}],
        "members": [{"name": "Ann"}],
    }


def test_a_foreign_key_beside_a_many_to_many_field_stays_reachable(school: Served) -> None:
    (row,) = read(school, "/students?select=club:clubs!club_id(name),clubs_via_memberships(id)&id=eq.1")
    assert row["club"] == {"name": "Chess"}
    assert named(row["clubs_via_memberships"], "id") == [CHESS, DRAMA]
    (row,) = read(school, "/students?select=clubs!memberships(id)&id=eq.1")
    assert named(row["clubs"], "id") == [CHESS, DRAMA]


def test_embeddings_nest(school: Served) -> None:
    courses = "courses(title,teaching:teachers_via_teachers_teaches(name))"
    (row,) = read(school, f"/users?select=name,students(name,{courses})&students.id=eq.2&id=eq.1")
    assert row == {
        "name": "Alice",
        "students": [{"name": "Ben", "courses": [{"title": "Mathematics", "teaching": [{"name": "Turing"}]}]}],
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select=name,users!inner(name)&users.name=eq.Alice", ["Ann", "Ben"]),
        ("select=name,courses!inner(code)&courses.code=eq.art", ["Ann"]),
        ("select=name,courses!inner(code)", ["Ann", "Ben"]),
        ("select=name,courses(code)&courses=is.null", ["Cy", "Di"]),
        ("select=name,friends!inner(name)&friends.name=eq.Ben", ["Ann"]),
        ("select=name,memberships!inner(role)&memberships.role=eq.president", ["Ann"]),
    ],
)
def test_embedded_rows_filter_their_parents(school: Served, query: str, expected: list[str]) -> None:
    assert named(read(school, f"/students?{query}")) == expected


def test_embedded_rows_are_filtered_ordered_and_limited(school: Served) -> None:
    (row,) = read(school, "/students?select=courses(code)&courses.code=eq.math&id=eq.1")
    assert row == {"courses": [{"code": "math"}]}
    (row,) = read(school, "/students?select=courses(code)&courses.order=code.desc&courses.limit=1&id=eq.1")
    assert row == {"courses": [{"code": "math"}]}
    assert read(school, "/students?select=name,users(name)&order=users(name).desc.nullslast,id&limit=2") == [
        {"name": "Di", "users": {"name": "Bob"}},
        {"name": "Ann", "users": {"name": "Alice"}},
    ]


def test_related_columns_spread_into_the_row(school: Served) -> None:
    assert read(school, "/students?select=name,...users(user:name)&id=eq.1") == [{"name": "Ann", "user": "Alice"}]


def test_a_written_row_comes_back_with_its_relations(school: Served) -> None:
    answer = school.webuser.post(
        "/students?select=name,users(name),courses(code)",
        json={"name": "Eve", "user_id": 2},
        headers={"Prefer": "return=representation"},
    )
    assert answer.json() == [{"name": "Eve", "users": {"name": "Bob"}, "courses": []}]


def test_only_what_is_exposed_is_embedded(school: Served) -> None:
    assert school.anon.get("/students?select=*,grades(*)").status_code == 400
    assert school.anon.get("/user_names?select=*,users(password_hint)").status_code == 400
