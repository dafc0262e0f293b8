"""Whether the inserts and upserts that an API grants can work."""

import datetime
import uuid
from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.postgres.functions import RandomUUID
from django.db import NotSupportedError, models
from django.db.models.functions import Now
from django.utils import timezone

from pgcraft_django.api import API
from pgcraft_django.factories.base import view_defaults
from pgcraft_django.registry import register
from tests.checks.declare import expect, messages, model

WRITE = API(grants={"webuser": "all"})


def anything() -> str:
    """A default that only Python knows."""
    return "x"


@pytest.mark.parametrize(
    ("field", "line"),
    [
        (models.DateTimeField(default=timezone.now), "field = …(db_default=Now())"),
        (models.DateTimeField(default=datetime.datetime.now), "field = …(db_default=Now())"),
        (models.DateField(default=datetime.date.today), "field = …(db_default=Now())"),
        (models.DateTimeField(auto_now_add=True), "field = …(db_default=Now())"),
        (models.TimeField(auto_now=True), "field = …(db_default=Now())"),
        (models.UUIDField(default=uuid.uuid4), "field = …(db_default=RandomUUID())"),
        (models.TextField(default=anything), "field = …(db_default=…)"),
        (models.TextField(default=anything, null=True), "field = …(db_default=…)"),
        (models.UUIDField(default=uuid.uuid4, primary_key=True), "field = …(db_default=RandomUUID())"),
    ],
)
def test_a_default_that_only_python_knows_is_a_warning_where_the_api_may_insert(
    apps: Apps, field: "models.Field[Any, Any]", line: str
) -> None:
    model(apps, pgcraft={"api": WRITE}, field=field)
    expect(messages(apps), "W002", line)


@pytest.mark.parametrize(
    "field",
    [
        models.DateTimeField(default=timezone.now, db_default=Now()),
        models.DateTimeField(auto_now=True, db_default=Now()),
        models.UUIDField(default=uuid.uuid4, db_default=RandomUUID(), primary_key=True),
        models.TextField(default="x"),
        models.TextField(default=None, null=True),
        models.JSONField(default=dict),
        models.TextField(),
        models.GeneratedField(expression=models.F("name"), output_field=models.TextField(), db_persist=True),
        models.BigAutoField(primary_key=True),
    ],
)
def test_a_default_that_postgresql_knows_too_is_no_message(apps: Apps, field: "models.Field[Any, Any]") -> None:
    model(apps, pgcraft={"api": WRITE}, field=field)
    assert messages(apps) == []


class Newer(models.Func):
    """A function that PostgreSQL has from release 18 on, as Django writes its UUID7."""

    function, arity, output_field = "uuidv7", 0, models.UUIDField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        if connection.pg_version < 180000:
            raise NotSupportedError
        return self.as_sql(compiler, connection, **context)


def test_a_default_of_newer_servers_alone_is_one_too(apps: Apps) -> None:
    person = model(apps, pgcraft={"api": WRITE}, key=models.UUIDField(db_default=Newer(), primary_key=True))
    assert messages(apps) == []
    assert view_defaults(person._meta.concrete_fields) == {"key": "uuidv7()"}


def test_defaults_do_not_matter_where_the_api_only_reads(apps: Apps) -> None:
    api = API(grants={"anon": ["select"], "webuser": ["select", "update"]})
    model(apps, pgcraft={"api": api}, token=models.UUIDField(default=uuid.uuid4))
    assert messages(apps) == []


def test_of_another_apps_model_postgresql_knows_no_default_at_all(apps: Apps) -> None:
    plain = model(
        apps,
        base=models.Model,
        meta={"db_table": "people"},
        active=models.BooleanField(default=True),
        note=models.TextField(default="it's"),
        extra=models.JSONField(default=dict),
        since=models.DateTimeField(default=timezone.now),
    )
    register(plain, api=WRITE, app_label="library")
    found = messages(apps)
    hint = str(found[0].hint)
    expect(found, "W002", "in a migration of library")
    for part in (
        r'migrations.RunSQL("ALTER TABLE \"public\".\"people\" ',
        r"ALTER COLUMN \"active\" SET DEFAULT 'True'",
        r"ALTER COLUMN \"note\" SET DEFAULT 'it''s'",
        r"ALTER COLUMN \"extra\" SET DEFAULT '{}'",
        r"ALTER COLUMN \"since\" SET DEFAULT now()",
        r"ALTER COLUMN \"since\" DROP DEFAULT",
    ):
        assert part in hint


@pytest.mark.django_db
def test_the_sql_for_another_apps_model_runs_and_does_what_it_says(apps: Apps) -> None:
    from django.db import connection, migrations

    plain = model(
        apps,
        base=models.Model,
        meta={"db_table": "hinted"},
        active=models.BooleanField(default=True),
        note=models.TextField(default="100% it's"),
        extra=models.JSONField(default=dict),
        since=models.DateTimeField(default=timezone.now),
        token=models.UUIDField(default=uuid.uuid4),
    )
    register(plain, api=WRITE, app_label="library")
    (message,) = messages(apps)
    line = str(message.hint).removeprefix("Write ").removesuffix(" in a migration of library")
    operation = eval(line, {"migrations": migrations})
    with connection.schema_editor() as editor:
        editor.create_model(plain)
    with connection.schema_editor() as editor:
        operation.database_forwards("library", editor, None, None)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO hinted (name) VALUES (NULL) RETURNING active, note, extra, since, token")
        active, note, extra, since, token = cursor.fetchone()
    assert (active, note, extra) == (True, "100% it's", "{}")
    assert abs(since - timezone.now()) < datetime.timedelta(minutes=1)
    assert isinstance(token, uuid.UUID)
    with connection.schema_editor() as editor:
        operation.database_backwards("library", editor, None, None)
        editor.delete_model(plain)


def test_a_hidden_column_that_every_row_needs_is_a_warning(apps: Apps) -> None:
    api = API(exclude=["code"], grants={"webuser": ["insert"]})
    model(apps, pgcraft={"api": api}, code=models.TextField())
    expect(messages(apps), "W003", "code = …(db_default=…)")


def test_a_hidden_default_that_only_python_knows_is_a_warning(apps: Apps) -> None:
    api = API(exclude=["token"], grants={"webuser": ["insert"]})
    model(apps, pgcraft={"api": api}, token=models.UUIDField(default=uuid.uuid4))
    expect(messages(apps), "W003", "token = …(db_default=RandomUUID())")


@pytest.mark.parametrize(
    "field", [models.TextField(null=True), models.TextField(default=""), models.TextField(db_default="x")]
)
def test_a_hidden_column_that_fills_itself_is_no_message(apps: Apps, field: "models.Field[Any, Any]") -> None:
    model(apps, pgcraft={"api": API(exclude=["hidden"], grants={"webuser": ["insert"]})}, hidden=field)
    assert messages(apps) == []


def test_upserts_without_any_key_are_a_warning(apps: Apps) -> None:
    model(apps, pgcraft={"api": API(exclude=["id"], grants={"webuser": ["insert", "update"]})})
    expect(messages(apps), "W004", 'API(columns=["id", "name"])')


@pytest.mark.parametrize(
    ("api", "meta"),
    [
        (API(exclude=["id"], grants={"webuser": ["insert"], "anon": ["update"]}), {}),
        (API(exclude=["name"], grants={"webuser": "all"}), {}),
        (API(exclude=["id"], grants={"webuser": "all"}), {"unique_together": [("name", "code")]}),
        (
            API(exclude=["id"], grants={"webuser": "all"}),
            {"constraints": [models.UniqueConstraint(fields=["name"], name="one_name")]},
        ),
    ],
)
def test_upserts_with_some_key_are_no_message(apps: Apps, api: API, meta: dict[str, Any]) -> None:
    model(apps, pgcraft={"api": api}, meta=meta, code=models.TextField(null=True))
    assert messages(apps) == []


def test_a_partial_unique_constraint_is_no_key(apps: Apps) -> None:
    partial = models.UniqueConstraint(fields=["name"], condition=models.Q(name="x"), name="partial")
    api = API(exclude=["id"], grants={"webuser": "all"})
    model(apps, pgcraft={"api": api}, meta={"constraints": [partial]})
    expect(messages(apps), "W004", 'API(columns=["id", "name"])')
