"""Types that an extension brings, as far as the server has it."""

from typing import Any, NamedTuple

from django.apps.registry import Apps
from django.contrib.postgres.fields import HStoreField
from django.contrib.postgres.operations import CITextExtension, CreateExtension, HStoreExtension
from django.db import connections, models

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftSimple
from tests.support.databases import as_administrator
from tests.support.served import serve
from tests.support.world import Site, World


class CITextField(models.TextField):
    """Text that does not tell capitals from small letters."""

    def db_type(self, connection: Any) -> str:
        return "citext"


class Kind(NamedTuple):
    """A type, by its extension."""

    extension: CreateExtension
    field: models.Field
    value: Any
    json: Any
    filter: str


KINDS = [
    Kind(CreateExtension("plpgsql"), models.TextField(), "Größe", "Größe", "eq.Größe"),
    Kind(CITextExtension(), CITextField(), "Größe", "Größe", "eq.gRÖßE"),
    Kind(HStoreExtension(), HStoreField(), {"a b": "ü"}, {"a b": "ü"}, 'eq."a b"=>"ü"'),
]


def test_types_of_extensions_are_exposed(world: World, site: Site) -> None:
    available = {name for (name,) in site.query("SELECT name FROM pg_available_extensions")}
    kinds = {kind.extension.name: kind for kind in KINDS if kind.extension.name in available}
    assert "plpgsql" in kinds  # every server has it
    with as_administrator(site.alias) as administrator, connections[administrator].cursor() as cursor:
        for name in kinds:  # a DBA does so, where an extension is not trusted
            cursor.execute(f"CREATE EXTENSION IF NOT EXISTS {name}")
    for kind in kinds.values():
        with connections[site.alias].schema_editor() as editor:
            kind.extension.database_forwards("shop", editor, site.state, site.state)

    def declare(apps: Apps) -> None:
        meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "things"})
        pgcraft = type("PGCraft", (), {"api": API(grants={"webuser": "all"})})
        fields = {name: kind.field.clone() for name, kind in kinds.items()}
        type("Thing", (PGCraftSimple,), {"__module__": __name__, "Meta": meta, "PGCraft": pgcraft, **fields})

    site.migrate(world.evolve(declare))
    things = world.apps.get_model("shop", "Thing").objects.using(site.alias)
    things.create(**{name: kind.value for name, kind in kinds.items()})
    with serve(site.alias) as served:
        (row,) = served.webuser.get("/things").json()
        assert row == {"id": row["id"]} | {name: kind.json for name, kind in kinds.items()}
        for name, kind in kinds.items():
            assert served.webuser.get("/things", params={name: kind.filter}).json() == [row], name
        written = {**row, "id": 50, **({"hstore": '"a b"=>"ü"'} if "hstore" in kinds else {})}
        assert served.webuser.post("/things", json=written).status_code == 201
    for name, kind in kinds.items():
        assert getattr(things.get(pk=50), name) == kind.value
