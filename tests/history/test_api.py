"""A history over HTTP: read by whom it is opened to, and written by nobody."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftAppendOnly
from tests.support.databases import administrator
from tests.support.served import Served, repeated, serve
from tests.support.world import evolved


def declare(apps: Apps) -> None:
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "students"})
    everything = {"anon": ["select"], "webuser": "all"}
    inner = type("PGCraft", (), {"api": API(grants=everything), "history_api": API(grants={"webuser": "all"})})
    fields = {"name": models.TextField()}
    type("Student", (PGCraftAppendOnly,), {"__module__": __name__, "Meta": meta, "PGCraft": inner, **fields})


@pytest.fixture(scope="module")
def server(django_db_blocker: Any) -> Iterator[Served]:
    with django_db_blocker.unblock(), evolved(declare) as (_, site), serve(site.alias) as served:
        yield served


@pytest.fixture
def api(server: Served, unblocked: None) -> Served:
    server.webuser.headers.update({"Prefer": "return=representation"})
    return server


def test_requests_make_versions_that_can_be_asked_for(api: Served) -> None:
    [row] = api.webuser.post("/students", json={"name": "Ann"}).json()
    one = {"id": f"eq.{row['id']}"}
    headers = api.token(role="webuser", sub="7")
    api.webuser.patch("/students", params=one, json={"name": "Anna"}, headers=headers)
    api.webuser.patch("/students", params=one, json={"name": "Anna"}, headers=headers)
    api.webuser.delete("/students", params=one, headers=headers)
    versions = api.webuser.get("/students_history", params={**one, "order": "version"}).json()
    assert [(item["name"], item["version"], item["operation"], item["actor"]) for item in versions] == [
        ("Ann", 1, "update", "7"),
        ("Anna", 2, "delete", "7"),
    ]
    at = versions[1]["valid_from"]
    then = {**one, "valid_from": f"lte.{at}", "valid_to": f"gt.{at}", "select": "name"}
    assert api.webuser.get("/students_history", params=then).json() == [{"name": "Anna"}]


def test_nobody_writes_a_history_and_only_who_may_reads_it(api: Served) -> None:
    [row] = api.webuser.post("/students", json={"name": "Bob"}).json()
    api.webuser.patch("/students", params={"id": f"eq.{row['id']}"}, json={"name": "Bobby"})
    before = api.webuser.get("/students_history").json()
    assert before
    forged = {**before[-1], "name": "forged"}
    one = {"history_id": f"eq.{forged['history_id']}"}
    for client, status in ((api.webuser, 403), (api.anon, 401)):
        assert client.post("/students_history", json=forged).status_code == status
        assert client.patch("/students_history", params=one, json={"name": "forged"}).status_code == status
        assert client.put("/students_history", params=one, json=forged).status_code == status
        assert client.delete("/students_history", params=one).status_code == status
    assert api.anon.get("/students_history").status_code == 401
    assert api.webuser.get("/students_history").json() == before


def test_a_row_may_be_sent_back_as_it_was_read_and_its_stamps_do_not_count(api: Served) -> None:
    """As `upsert()` and `update()` of a client do with a whole row."""
    [row] = api.webuser.post("/students", json={"name": "Di", "version": 9, "valid_from": "1970-01-01Z"}).json()
    assert row["version"] == 1
    assert row["valid_from"] > "2025"
    one = {"id": f"eq.{row['id']}"}
    merge = {"Prefer": "return=representation,resolution=merge-duplicates"}
    forged = {**row, "version": 9, "valid_from": "1970-01-01Z"}
    for version, send in enumerate(
        (
            lambda name: api.webuser.patch("/students", params=one, json={**row, "name": name}),
            lambda name: api.webuser.put("/students", params=one, json={**row, "name": name}),
            lambda name: api.webuser.post("/students", headers=merge, json={**row, "name": name}),
            lambda name: api.webuser.post("/students", headers=merge, json={**forged, "name": name}),
        ),
        start=2,
    ):
        [changed] = send(f"Di {version}").raise_for_status().json()
        assert (changed["name"], changed["version"]) == (f"Di {version}", version)
        assert changed["valid_from"] > row["valid_from"]
    api.webuser.delete("/students", params=one)
    [again] = api.webuser.post("/students", headers=merge, json=forged).raise_for_status().json()
    assert again["version"] == 6
    versions = api.webuser.get("/students_history", params={**one, "order": "version"}).json()
    assert [item["version"] for item in versions] == [1, 2, 3, 4, 5]
    assert [item["valid_to"] for item in versions[:-1]] == [item["valid_from"] for item in versions[1:]]


def test_a_key_that_would_change_is_refused_without_a_word_about_the_schema_behind(api: Served) -> None:
    [row] = api.webuser.post("/students", json={"name": "Cy"}).json()
    answer = api.webuser.patch("/students", params={"id": f"eq.{row['id']}"}, json={"id": 0})
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "The key of a row in students cannot change: it has a history.",
    )


def test_a_request_whose_key_others_use_and_give_up_is_done_again(api: Served) -> None:
    """It ends in a serialization failure, and succeeds when it is repeated."""
    api.execute("""
        CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.name = 'slow' THEN PERFORM pg_advisory_xact_lock(1); END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER "~wait" BEFORE INSERT ON students FOR EACH ROW EXECUTE FUNCTION wait();
    """)
    [[database]] = api.execute("SELECT current_database()")
    with administrator(database) as others, ThreadPoolExecutor(1) as pool:
        others.execute("SELECT pg_advisory_lock(1)")
        slow = {"id": 77, "name": "slow"}
        request = pool.submit(repeated, lambda: api.webuser.post("/students", json=slow))
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while others.execute(waiting).fetchone() != (1,):
            assert not request.done(), request.result().text
        others.execute("INSERT INTO private.students (id, name) VALUES (77, 'quick')")
        others.execute("DELETE FROM private.students WHERE id = 77")
        others.execute("SELECT pg_advisory_unlock(1)")
        answer = request.result(timeout=30)
    assert answer.status_code == 201
    assert [(row["name"], row["version"]) for row in answer.json()] == [("slow", 2)]
