"""Rows in any state come back with the log of how they got there, whatever comes first."""

from pathlib import Path

import pytest
from django.db import IntegrityError

from tests.state_machine.conftest import Shop
from tests.support.dumps import assert_survives_dump, hashes, run_tool
from tests.support.world import new_site

TABLES = ["orders", "orders_transition"]


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """A shop with orders in every state, one of them deleted."""
    shop.query("INSERT INTO orders (total, note) SELECT n, 'tab\tand \\ ' || n FROM generate_series(1, 20) n")
    shop.query("UPDATE orders SET state = 'confirmed' WHERE id > 5")
    shop.query(
        "SELECT private.orders_transition(id, 'shipped', NULL, 'sent', NULL, 'X' || id) FROM orders WHERE id > 15"
    )
    shop.query("UPDATE orders SET state = 'cancelled' WHERE id IN (1, 7)")
    shop.query("DELETE FROM orders WHERE id = 8")
    return shop


def test_dumps_bring_back_rows_and_log(busy: Shop) -> None:
    assert_survives_dump(busy.site, TABLES)


@pytest.mark.parametrize("order", [TABLES, TABLES[::-1]], ids=["rows first", "log first"])
@pytest.mark.parametrize("how", ["copy", "inserts"])
def test_either_table_may_come_first(busy: Shop, order: list[str], how: str, tmp_path: Path) -> None:
    before = hashes(busy.site, TABLES)
    options = ["--inserts"] if how == "inserts" else []
    with new_site() as empty:
        empty.migrate(busy.site.applied)
        for table in order:
            script = tmp_path / f"{table}.sql"

            run_tool("pg_dump", busy.site, "--data-only", f"--table=private.{table}", *options, f"--file={script}")
            run_tool("psql", empty, "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={script}")
        assert hashes(empty, TABLES) == before
        with pytest.raises(IntegrityError, match="orders 16 is shipped, and cannot become pending"):
            empty.query("UPDATE orders SET state = 'pending' WHERE id = 16")
        with pytest.raises(IntegrityError, match="A new row of orders cannot be shipped"):
            empty.query("INSERT INTO orders (id, state) VALUES (99, 'shipped')")
