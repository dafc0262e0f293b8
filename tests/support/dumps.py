"""Dumps that come back: whole, and as data alone into a database that migrations have made."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from django.db import connections

from pgcraft_django import embedded
from pgcraft_django.naming import quote_name
from tests.settings import MAJOR
from tests.support.databases import temporary_database
from tests.support.world import Site, new_site


def assert_survives_dump(site: Site, tables: Sequence[str], *, restoring: str = "--exit-on-error") -> None:
    """Dump the site, restore it in each way that people do, and compare.

    All of it goes into an empty database: the catalog is the same. The data alone, as an archive and as SQL, goes into
    databases with the site's migrations: nothing there stops or falsifies it. `tables` are those whose rows have to
    come back; each must have some, and must still work afterwards: the sequences go on where they were. `restoring` is
    how the data of the whole archive is restored alone: `pg_restore` takes tables by their names then.
    """
    before = hashes(site, tables)
    assert all(count for count, _ in before.values()), f"a table without rows shows nothing: {before}"
    with tempfile.TemporaryDirectory() as folder:
        archive, script = Path(folder) / "archive", Path(folder) / "script.sql"
        run_tool("pg_dump", site, "--format=custom", f"--file={archive}")
        run_tool("pg_dump", site, "--data-only", f"--file={script}")
        with temporary_database(OPTIONS=connections.settings[site.alias]["OPTIONS"]) as alias:
            whole = Site(alias)
            run_tool("pg_restore", whole, "--exit-on-error", archive)
            assert hashes(whole, tables) == before
            assert whole.catalog() == site.catalog()
        for program, *arguments in (
            ("pg_restore", restoring, "--data-only", archive),
            ("psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={script}"),
        ):
            with new_site() as empty:
                empty.migrate(site.applied)
                run_tool(str(program), empty, *arguments)
                assert hashes(empty, tables) == before
                assert _sequences(empty) == _sequences(site)


def hashes(site: Site, tables: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return table -> number of its rows, and a hash of what they hold. Tables are named as the search path allows."""
    found = {}
    for table in tables:
        rows = f"SELECT t::text AS content FROM {quote_name(*table.split('.'))} t"
        [found[table]] = site.query(
            f"SELECT count(*), md5(string_agg(content, E'\\n' ORDER BY content)) FROM ({rows}) r"
        )
    return found


def _sequences(site: Site) -> list[tuple[object, ...]]:
    return site.query("SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2")


def run_tool(program: str, site: Site, *arguments: object) -> None:
    """Run a tool of PostgreSQL on the database of a site; raise `AssertionError` with what it says if it fails."""
    settings = connections.settings[site.alias]
    connections[site.alias].close()
    where = [f"--host={settings['HOST']}", f"--port={settings['PORT']}", f"--username={settings['USER']}"]
    done = subprocess.run(
        [embedded.find_binaries(MAJOR) / program, *where, f"--dbname={settings['NAME']}", *map(str, arguments)],
        env={**os.environ, "PGPASSWORD": settings["PASSWORD"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
