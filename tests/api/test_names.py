"""Names of tables, columns and resources that have to be quoted in SQL, in URLs and in PostgREST's own language."""

from urllib.parse import quote

import pytest

from tests.support.served import Served

RESOURCES = ["Größe & Order", 'he said "hi", 100%', "order"]
RETURN = {"Prefer": "return=representation"}


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_resource_has_any_name(school: Served, resource: str) -> None:
    path = "/" + quote(resource)
    assert [row["größe"] for row in school.anon.get(f"{path}?order=id").json()] == ["XS", "XL"]
    # As a parameter of its own, `order` is PostgREST's; a column of this name is filtered inside `and`.
    (row,) = school.webuser.post(path, json={"order": 30, "Mixed Case": "three"}, headers=RETURN).json()
    assert (row["order"], row["Mixed Case"], row["größe"]) == (30, "three", "XL")
    changed = school.webuser.patch(f"{path}?and=(order.eq.30)", json={"größe": "L"}, headers=RETURN).json()
    assert changed == [{**row, "größe": "L"}]
    merge = {"Prefer": "return=representation, resolution=merge-duplicates"}
    answer = school.webuser.post(f"{path}?on_conflict=order", json={"order": 30, "Mixed Case": "again"}, headers=merge)
    assert answer.json() == [{**row, "größe": "L", "Mixed Case": "again"}]
    assert school.webuser.delete(f"{path}?and=(order.eq.30)").status_code == 204


def test_columns_of_any_name_are_chosen_filtered_and_ordered(school: Served) -> None:
    path = "/" + quote("Größe & Order")
    rows = school.anon.get(path, params={"select": 'order,"Mixed Case",größe,"a.b,c(d)"', "order": "order.desc"}).json()
    assert rows == [
        {"order": 20, "Mixed Case": None, "größe": "XL", "a.b,c(d)": None},
        {"order": 10, "Mixed Case": "one", "größe": "XS", "a.b,c(d)": "dot"},
    ]
    for filters in ({"größe": "eq.XS"}, {"Mixed Case": "not.is.null"}, {"or": '("a.b,c(d)".eq.dot,order.eq.11)'}):
        assert [row["id"] for row in school.anon.get(path, params=filters).json()] == [1], filters
    assert [row["id"] for row in school.anon.get(path, params={"order": '"Mixed Case".desc.nullsfirst'}).json()] == [
        2,
        1,
    ]


def test_relations_between_such_names_are_embedded(school: Served) -> None:
    path = "/" + quote("Größe & Order")
    answer = school.anon.get(path, params={"select": "order,parent:Select(order)", "order": "order"})
    assert answer.json() == [{"order": 10, "parent": None}, {"order": 20, "parent": {"order": 10}}]
