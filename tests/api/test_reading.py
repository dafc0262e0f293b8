"""What a reader of the API can ask: filters, order, ranges and counts."""

import pytest

from tests.support.served import Served


def names(served: Served, query: str, **headers: str) -> list[str]:
    answer = served.anon.get(f"/students?select=name&{query}", headers=headers)
    assert answer.status_code in (200, 206), answer.text
    return [row["name"] for row in answer.json()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=eq.Ann", ["Ann"]),
        ("name=neq.Ann&order=id", ["Ben", "Cy", "Di"]),
        ("id=gt.2&order=id", ["Cy", "Di"]),
        ("id=lte.2&order=id", ["Ann", "Ben"]),
        ("id=in.(1,4)&order=id", ["Ann", "Di"]),
        ("name=like.*n*&order=id", ["Ann", "Ben"]),
        ("name=ilike.a*", ["Ann"]),
        ("user_id=is.null", ["Cy"]),
        ("user_id=not.is.null&mentor_id=is.null", ["Ann"]),
        ("or=(name.eq.Cy,and(id.gt.1,id.lt.3))&order=id", ["Ben", "Cy"]),
        ("name=match.^[AB]&order=id", ["Ann", "Ben"]),
    ],
)
def test_rows_are_filtered(school: Served, query: str, expected: list[str]) -> None:
    assert names(school, query) == expected


def test_a_filter_takes_any_text(school: Served) -> None:
    answer = school.anon.get("/users", params={"name": 'eq.Zoë "Z" O\'Neil, (jr) 100%'})
    assert [row["id"] for row in answer.json()] == [3]


def test_rows_are_ordered(school: Served) -> None:
    assert names(school, "order=name.desc") == ["Di", "Cy", "Ben", "Ann"]
    assert names(school, "order=mentor_id.asc.nullsfirst,name.desc") == ["Ann", "Cy", "Ben", "Di"]
    assert names(school, "order=user_id.desc.nullslast,id.desc") == ["Di", "Ben", "Ann", "Cy"]


def test_a_page_tells_its_place_and_the_exact_count(school: Served) -> None:
    answer = school.anon.get("/students?order=id&limit=2&offset=1", headers={"Prefer": "count=exact"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (206, "1-2/4")
    answer = school.anon.get(
        "/students?order=id", headers={"Prefer": "count=exact", "Range-Unit": "items", "Range": "2-9"}
    )
    assert (answer.status_code, answer.headers["Content-Range"]) == (206, "2-3/4")
    # PostgREST 12 was seen to reset a connection after a HEAD.
    answer = school.anon.head("/students", headers={"Prefer": "count=exact", "Connection": "close"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (200, "0-3/4")
    answer = school.anon.get("/students?limit=1&offset=9", headers={"Prefer": "count=exact"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "*/4")


def test_one_row_comes_as_an_object(school: Served) -> None:
    single = {"Accept": "application/vnd.pgrst.object+json"}
    assert school.anon.get("/courses?code=eq.art", headers=single).json() == {"code": "art", "title": "Art"}
    assert school.anon.get("/courses", headers=single).status_code == 406


def test_columns_are_chosen_renamed_and_cast(school: Served) -> None:
    answer = school.anon.get("/lunches?select=what:dish,total::text")
    assert answer.json() == [{"what": "soup", "total": "5.00"}]


def test_a_model_with_two_apis_has_two_resources(school: Served) -> None:
    assert school.anon.get("/users?id=eq.1").json() == [{"id": 1, "name": "Alice", "email": "alice@school.example"}]
    assert school.anon.get("/user_names?id=eq.1").json() == [{"id": 1, "name": "Alice"}]


def test_another_api_schema_is_asked_for_by_its_name(school: Served) -> None:
    answer = school.webuser.get("/reports", headers={"Accept-Profile": "reports"})
    assert answer.json() == [{"id": 1, "title": "Annual", "author_id": 1}]
    assert school.webuser.get("/reports").status_code == 404


def test_models_of_other_apps_and_proxies_are_exposed_as_registered(school: Served) -> None:
    assert school.webuser.get("/groups").json() == [{"id": 1, "name": "staff"}]
    assert school.anon.get("/graduates?id=eq.1").json() == [{"id": 1, "name": "Ann"}]
