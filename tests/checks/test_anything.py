"""Whatever is declared, the declared state can be asked for, and whatever is wrong with it is a check."""

from typing import Any

from django.apps.registry import Apps
from django.core.checks import CheckMessage
from django.db import models
from django.db.migrations.state import AppConfigStub
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from pgcraft_django import registry
from pgcraft_django.api import API
from pgcraft_django.conf import KEYS
from tests.checks.declare import messages, model

words = st.sampled_from(
    ["", "id", "name", "anon", "select", "all", "x" * 64, "a\0b", "\ud800", "pg_x", "public", "api"]
)
atoms = st.one_of(st.none(), st.booleans(), st.integers(), st.binary(max_size=2), words, st.just(API), st.just(API()))
junk = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.none(), st.integers(), words), inner, max_size=3),
        st.frozensets(words, max_size=3),
    ),
    max_leaves=6,
)
options = st.dictionaries(st.sampled_from(["schema", "api", "plugins", "zzz"]), junk, max_size=3)
apis = st.builds(API, name=junk, schema=junk, columns=junk, exclude=junk, grants=junk)


def told(setting: Any, pgcraft: Any, registered: Any) -> list[CheckMessage]:
    """Return what the checks say of a project with these declarations."""
    apps = Apps([AppConfigStub("shop")])
    registry._registrations.clear()
    with override_settings(PGCRAFT=setting):
        model(apps, pgcraft=pgcraft)
        registry.register(model(apps, "Plain", base=models.Model), api=registered, app_label="shop")
        return messages(apps)


@settings(deadline=None)
@given(
    setting=st.one_of(junk, st.dictionaries(st.sampled_from(KEYS), junk)),
    pgcraft=st.one_of(
        junk.filter(lambda value: not isinstance(value, dict)), options, apis.map(lambda api: {"api": api})
    ),
    registered=st.one_of(junk, apis, st.lists(apis, max_size=2)),
)
def test_nothing_that_is_declared_is_a_traceback(setting: Any, pgcraft: Any, registered: Any) -> None:
    for message in told(setting, pgcraft, registered):
        assert str(message.id).startswith("pgcraft_django.")
        assert message.hint
        str(message)
