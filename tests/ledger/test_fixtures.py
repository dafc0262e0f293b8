"""Fixtures: what `dumpdata` writes of a ledger is what `loaddata` brings back."""

from pathlib import Path

from django.db import connections

from tests.support.databases import administrator, temporary_database
from tests.support.manage import make_project

MODELS = """
from django.db import models
from pgcraft_django.models import PGCraftLedger
from pgcraft_django.plugins import Balance

class Shared(PGCraftLedger):
    warehouse = models.TextField()

    class Meta:
        abstract = True

    class PGCraft:
        idempotency = True
        plugins = [Balance(dimensions=["warehouse"], minimum=0)]

class Whole(Shared):
    class Meta:
        db_table = "whole"

class Parted(Shared):
    class Meta:
        db_table = "parted"

    class PGCraft(Shared.PGCraft):
        partition_by = "month"
"""
BOOKED = """
    INSERT INTO private.{0} (entry_id, value, warehouse, idempotency_key)
    VALUES ('00000000-0000-0000-0000-000000000001', 5, 'A', 'a'), ('00000000-0000-0000-0000-000000000001', 1, 'B', 'a');
    INSERT INTO private.{0} (value, warehouse) VALUES (-3, 'A')
"""
BELOW = """[{
    "model": "shop.parted", "pk": 9,
    "fields": {
        "entry_id": "00000000-0000-0000-0000-000000000009", "created_at": "2020-01-01T00:00Z",
        "value": -9, "warehouse": "A"
    }
}]"""


def test_what_is_dumped_of_ledgers_comes_back_with_ids_and_times(tmp_path: Path, unblocked: None) -> None:
    """What follows from entries comes with them, and no fixture gets below a minimum."""
    with temporary_database() as alias, temporary_database() as other:
        project = make_project(tmp_path, connections[alias].settings_dict["NAME"])
        project.models(MODELS)
        project.manage("makemigrations", "shop")
        project.manage("migrate")
        with administrator(project.database) as connection:
            connection.execute("".join(f"{BOOKED.format(table)};" for table in ("whole", "parted")))
        (tmp_path / "dumped.json").write_text(dumped := project.manage("dumpdata", "shop"))
        (tmp_path / "below.json").write_text(BELOW)

        project.database = connections[other].settings_dict["NAME"]
        project.settings()
        project.manage("migrate")
        project.manage("loaddata", str(tmp_path / "dumped.json"))
        dumped = dumped.replace(".000Z", "Z")  # Django writes no fraction where it has cut off all of it
        assert project.manage("dumpdata", "shop").replace(".000Z", "Z") == dumped
        project.manage("loaddata", str(tmp_path / "dumped.json"))
        assert project.manage("dumpdata", "shop").replace(".000Z", "Z") == dumped
        said = project.manage("loaddata", str(tmp_path / "below.json"), status=1)
        assert "The balance of warehouse A in parted would be -7; it cannot fall below 0." in said
        with administrator(project.database) as connection:
            for table in ("whole", "parted"):
                [row] = connection.execute(
                    f"INSERT INTO private.{table} (value, warehouse) VALUES (1, 'A') RETURNING id, created_at = now()"
                ).fetchall()
                assert row[0] >= 4
                assert row[1] is True
