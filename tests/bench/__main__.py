"""The command line: `python -m tests.bench`."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import django
import psycopg
from django.conf import settings

from pgcraft_django import embedded
from pgcraft_django.errors import PGCraftError
from pgcraft_django.postgrest.binary import detect_version, find_binary, format_version
from tests.bench import api, eav, history, ledger, machine, migrations, peer, rivals, startup
from tests.bench.project import connect
from tests.bench.report import Figure, Note, Report

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / ".bench"
RUNS = {
    "startup": 31,
    "api": 61,
    "history": 61,
    "rivals": 31,
    "eav": 61,
    "ledger": 61,
    "machine": 61,
    "peer": 21,
    "migrations": 9,
}
QUICK_RUNS = {part: 3 if part == "migrations" else 5 for part in RUNS}
PARTS = tuple(RUNS)


def say(text: str) -> None:
    """Tell what is being done."""
    sys.stderr.write(f"bench: {text}\n")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure what pgcraft_django costs.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--runs", type=int, metavar="N", help="how often each side is measured (default: by part)")
    parser.add_argument("--quick", action="store_true", help="few runs and small sizes, without a verdict")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    if options.runs is not None and options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def measure(server: embedded.Server, options: argparse.Namespace) -> Iterator[Figure | Note]:
    """Yield the figures of the chosen parts."""
    runs = {part: options.runs or (QUICK_RUNS if options.quick else RUNS)[part] for part in PARTS}
    parts = options.parts or PARTS
    if "startup" in parts:
        say("start-up")
        yield from startup.measure(runs["startup"])
    if "api" in parts:
        yield from api.measure(server, runs["api"], say)
    if "history" in parts:
        yield from history.measure(server, runs["history"], say)
    if "rivals" in parts:
        yield from rivals.measure(server, runs["rivals"], say)
    if "eav" in parts:
        entities = eav.MANY // 10 if options.quick else eav.MANY
        yield from eav.measure(server, runs["eav"], entities, say)
    if "ledger" in parts:
        entries = ledger.ENTRIES // 10 if options.quick else ledger.ENTRIES
        yield from ledger.measure(server, runs["ledger"], entries, say)
    if "machine" in parts:
        yield from machine.measure(server, runs["machine"], say)
    if "peer" in parts:
        yield from peer.measure(server, runs["peer"], options.quick, say)
    if "migrations" in parts:
        sizes = migrations.SIZES[:-1] if options.quick else migrations.SIZES
        yield from migrations.measure(server, runs["migrations"], sizes, say)


def about(server: embedded.Server) -> dict[str, str]:
    """Return what the figures are measured on."""
    with connect(server) as connection:
        postgresql = str(connection.info.server_version)
    return {
        "Date": time.strftime("%Y-%m-%d %H:%M"),
        "Python": platform.python_version(),
        "Django": django.get_version(),
        "psycopg": psycopg.__version__,
        "PostgreSQL": f"{postgresql[:-4]}.{int(postgresql[-4:])}, without fsync",
        "PostgREST": format_version(detect_version(find_binary())),
        "Machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "Load before": f"{os.getloadavg()[0]:.1f}",
        "Method": "both sides alternately in one run; medians, ratios and differences of neighbouring measurements",
    }


def main(arguments: list[str]) -> int:
    """Measure, print and write the results; return the exit status."""
    options = parse(arguments)
    settings.configure(BASE_DIR=ROOT)
    try:
        server = embedded.start(ROOT / ".embedded" / "bench", durable=False, report=say)
        report = Report(about(server), judged=not options.quick)
        for found in measure(server, options):
            say(report.add(found))
    except PGCraftError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("stopped, nothing is written")
        return 130
    report.write(RESULTS)
    sys.stdout.write(report.as_markdown())
    for figure in report.missed:
        say(figure.as_line())
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
