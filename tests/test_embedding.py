"""How the embeddings of many-to-many fields are called, and when there are none."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models

from pgcraft_django import registry
from pgcraft_django.api import API
from pgcraft_django.embedding import embedding_objects
from pgcraft_django.models import PGCraftSimple
from pgcraft_django.objects import Function, FunctionGrant
from tests.support.world import World

READ = {"anon": ["select"]}


def model(apps: Apps, model_name: str, table: str, api: Any = READ, **fields: Any) -> Any:
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": table})
    pgcraft = type("PGCraft", (), {"api": API(grants=READ) if api is READ else api})
    return type(model_name, (PGCraftSimple,), {"__module__": __name__, "Meta": meta, "PGCraft": pgcraft, **fields})


def expose(field: Any, **options: Any) -> None:
    registry.register(field.through, api=API(grants=READ, **options), app_label="shop")


def embeddings(world: World) -> Mapping[tuple[str, str], str]:
    """Return (resource, name of the embedding) -> what it brings."""
    return {
        (item.arguments.split('"')[-2], item.name): item.returns.split('"')[-2]
        for _, item in embedding_objects(registry.get_resources(world.apps))
        if isinstance(item, Function)
    }


def test_a_lone_field_is_called_as_what_it_brings(world: World) -> None:
    def declare(apps: Apps) -> None:
        tag = model(apps, "Tag", "tags")
        expose(model(apps, "Book", "books", labels=models.ManyToManyField(tag)).labels)

    world.declare(declare)
    assert embeddings(world) == {("books", "tags"): "tags", ("tags", "books"): "books"}


def test_a_field_without_a_name_backwards_is_found_all_the_same(world: World) -> None:
    def declare(apps: Apps) -> None:
        tag = model(apps, "Tag", "tags")
        one, other = (models.ManyToManyField(tag, related_name="+", db_table=table) for table in ("first", "second"))
        book = model(apps, "Book", "books", one=one, other=other)
        expose(book.one)
        expose(book.other)

    world.declare(declare)
    assert embeddings(world) == {
        ("books", "one"): "tags",
        ("books", "other"): "tags",
        ("tags", "books_via_first"): "books",
        ("tags", "books_via_second"): "books",
    }


def test_a_field_called_as_a_resource_hides_none(world: World) -> None:
    def declare(apps: Apps) -> None:
        author = model(apps, "Author", "authors")
        fields = {
            "author": models.ForeignKey(author, models.CASCADE),
            "authors": models.ManyToManyField(author, related_name="books", db_table="writing"),
        }
        expose(model(apps, "Book", "books", **fields).authors)

    world.declare(declare)
    assert embeddings(world) == {
        ("books", "authors_via_writing"): "authors",
        ("authors", "books_via_writing"): "books",
    }


def test_every_resource_of_a_model_embeds_and_is_embedded(world: World) -> None:
    def declare(apps: Apps) -> None:
        tag = model(apps, "Tag", "tags", [API(grants=READ), API(name="all_tags", grants=READ)])
        book = model(apps, "Book", "books", tags=models.ManyToManyField(tag))
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "proxy": True})
        novel = type("Novel", (book,), {"__module__": __name__, "Meta": meta})
        registry.register(novel, api=API(name="novels", columns=["id"], grants=READ), app_label="shop")
        expose(book.tags)

    world.declare(declare)
    sources = [(source, name) for source in ("books", "novels") for name in ("tags", "all_tags")]
    assert embeddings(world) == {pair: pair[1] for pair in sources} | {
        (name, source): source for source, name in sources
    }


def test_a_field_to_its_own_model_brings_the_first_resource_or_the_same(world: World) -> None:
    def declare(apps: Apps) -> None:
        apis = [API(grants=READ), API(name="briefly", columns=["id"], grants=READ)]
        expose(model(apps, "Person", "people", apis, friends=models.ManyToManyField("self")).friends)

    world.declare(declare)
    assert embeddings(world) == {("people", "friends"): "people", ("briefly", "friends"): "briefly"}


def test_each_role_finds_its_own_way_where_each_has_its_own_resources(world: World) -> None:
    everyone, staff = {"anon": ["select"]}, {"webuser": ["select"]}

    def declare(apps: Apps) -> None:
        apis = [[API(grants=everyone), API(name=f"all_{name}", grants=staff)] for name in ("authors", "books")]
        author = model(apps, "Author", "authors", apis[0])
        writers, readers = (
            models.ManyToManyField(author, related_name=f"{name}_of", db_table=name) for name in ("writing", "reading")
        )
        book = model(apps, "Book", "books", apis[1], writers=writers, readers=readers)
        for field in (book.writers, book.readers):
            table = field.through._meta.db_table
            registry.register(
                field.through, api=[API(name=f"all_{table}", grants=staff), API(grants=everyone)], app_label="shop"
            )

    world.declare(declare)
    grants = {
        (item.role, item.arguments.split('"')[-2], item.function)
        for _, item in embedding_objects(registry.get_resources(world.apps))
        if isinstance(item, FunctionGrant)
    }
    assert grants == {
        (role, f"{prefix}{source}", name)
        for role, prefix in (("anon", ""), ("webuser", "all_"))
        for source, names in (("books", ("writers", "readers")), ("authors", ("writing_of", "reading_of")))
        for name in names
    }
    assert embeddings(world)["all_books", "writers"] == "all_authors"


@pytest.mark.parametrize("hidden", ["table", "key", "schema", "target"])
def test_what_takes_more_than_is_exposed_is_no_embedding(world: World, hidden: str) -> None:
    def declare(apps: Apps) -> None:
        apis = {"key": API(exclude=["id"], grants=READ), "schema": API(schema="other", grants=READ), "target": None}
        tag = model(apps, "Tag", "tags", apis.get(hidden, READ), name=models.TextField())
        book = model(apps, "Book", "books", tags=models.ManyToManyField(tag))
        if hidden != "table":
            expose(book.tags)

    world.declare(declare)
    assert embeddings(world) == {}
