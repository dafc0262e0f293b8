"""The command line: `python -m tests.bench`."""

import argparse
import os
import platform
import signal
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
from tests.bench import api, eav, history, ledger, machine, migrations, peer, policies, rivals, startup
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
    "policies": 61,
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
    """Yield what is found by the chosen parts."""
    for part in PARTS:
        if part in (options.parts or PARTS):
            began = time.monotonic()
            runs = options.runs or (QUICK_RUNS if options.quick else RUNS)[part]
            yield from measure_part(part, server, runs, options.quick)
            say(f"{part}: {time.monotonic() - began:.0f} seconds")


def measure_part(part: str, server: embedded.Server, runs: int, quick: bool) -> Iterator[Figure | Note]:
    """Yield what is found by one part."""
    smaller = 10 if quick else 1
    match part:
        case "startup":
            return startup.measure(runs)
        case "api":
            return api.measure(server, runs, say)
        case "history":
            return history.measure(server, runs, say)
        case "rivals":
            return rivals.measure(server, runs, say)
        case "eav":
            return eav.measure(server, runs, eav.MANY // smaller, say)
        case "ledger":
            return ledger.measure(server, runs, ledger.ENTRIES // smaller, say)
        case "machine":
            return machine.measure(server, runs, say)
        case "policies":
            return policies.measure(server, runs, say)
        case "peer":
            return peer.measure(server, runs, quick, say)
        case _:
            return migrations.measure(server, runs, migrations.SIZES[:-1] if quick else migrations.SIZES, say)


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
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as by Ctrl-C: nothing is left running
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
