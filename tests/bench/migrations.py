"""What migration commands cost: the same models with PGCraftSimple, all exposed, and with plain Django."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pgcraft_django.embedded import Server
from tests.bench.project import Project, Usage, drop_database, empty_database
from tests.bench.report import Figure, Pair, alternate, difference, medians, ratio

SIZE = 300
"""Number of models that the ratios are judged at."""
LARGE = 1000
SIZES = (100, SIZE, LARGE)

MOST_TIMES = 1.5
MOST_GROWTH = 2.0
"""How much more the package may add for each of 1,000 models than for each of 300: Django's own cost for a model
grows, too, so that the sum is not linear whatever we do."""
NEGLIGIBLE = 0.5
"""Milliseconds added for each model that are less than the noise of the machine can tell from nothing."""

COMMANDS = {
    "makemigrations from nothing": ("makemigrations", "shop"),
    "makemigrations --check without a change": ("makemigrations", "--check"),
    "migrate": ("migrate",),
}

PLAIN = "from django.db.models import Model as Base"
OURS = "from pgcraft_django.models import PGCraftSimple as Base"

HEAD = """\
from django.db import models
{base}
"""
# No foreign keys: with them, Django's own cost grows so fast that ours is lost in it.
MODEL = """

class Model{number}(Base):
    reference = models.UUIDField(null=True)
    name = models.TextField(help_text="What people call it")
    code = models.CharField(max_length=20)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    number = models.IntegerField(default=0)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "model_{number}"
"""

Usages = Mapping[str, Usage]
"""Command -> what it took."""


def measure(server: Server, runs: int, sizes: tuple[int, ...], say: Callable[[str], None]) -> Iterator[Figure]:
    """Yield ratios at each size, judged at 300 models, and how the added cost for each model grows."""
    added: dict[tuple[int, str], float] = {}
    for size in sizes:
        pairs = _measure_size(server, size, runs, say)
        for command, (seconds, memory) in pairs.items():
            yield _ratio(size, f"{command}: time", seconds, "s")
            yield _ratio(size, f"{command}: memory", memory, "MB")
            added[size, command] = difference(seconds) * 1000 / size
    if LARGE in sizes:
        for command in COMMANDS:
            yield _growth(command, added[SIZE, command], added[LARGE, command], runs)


def _ratio(size: int, name: str, pairs: list[Pair], unit: str) -> Figure:
    ours, theirs = medians(pairs)
    return Figure(
        part=f"Migrations of {size:,} models",
        name=name,
        value=ratio(pairs),
        unit="x",
        at_most=MOST_TIMES if size == SIZE else None,
        ours=ours,
        theirs=theirs,
        medians_unit=unit,
        against="plain Django",
        runs=len(pairs),
    )


def _growth(command: str, small: float, large: float, runs: int) -> Figure:
    return Figure(
        part="Growth",
        name=f"{command}: added for each of {LARGE:,} models, against each of {SIZE}",
        value=max(large, NEGLIGIBLE) / max(small, NEGLIGIBLE),
        unit="x",
        at_most=MOST_GROWTH,
        ours=large,
        theirs=small,
        medians_unit="ms a model",
        against=f"{SIZE} models",
        runs=runs,
    )


def _measure_size(
    server: Server, size: int, runs: int, say: Callable[[str], None]
) -> dict[str, tuple[list[Pair], list[Pair]]]:
    """Return command -> pairs of seconds and of megabytes."""
    with tempfile.TemporaryDirectory(prefix="pgcraft-bench-") as folder:
        ours = _project(Path(folder, "ours"), server, ["pgcraft_django", "shop"], OURS, size)
        plain = _project(Path(folder, "plain"), server, ["shop"], PLAIN, size)
        sides: dict[str, list[Usages]] = {ours.database: [], plain.database: []}

        def run(project: Project) -> float:
            say(f"migrations of {size} models: {project.database}")
            sides[project.database].append(_run(project))
            return 0

        try:
            alternate(runs, lambda: run(ours), lambda: run(plain))
        finally:
            for project in (ours, plain):
                drop_database(server, project.database)
    rounds = list(zip(*sides.values(), strict=True))
    return {
        command: (
            [(mine[command].seconds, other[command].seconds) for mine, other in rounds],
            [(mine[command].megabytes, other[command].megabytes) for mine, other in rounds],
        )
        for command in COMMANDS
    }


def _project(folder: Path, server: Server, apps: list[str], base: str, size: int) -> Project:
    models = HEAD.format(base=base) + "".join(MODEL.format(number=number) for number in range(size))
    project = Project(folder, server, f"bench_{folder.name}", apps, models, pgcraft={})
    project.write()
    project.manage("check")  # once for the bytecode
    return project


def _run(project: Project) -> Usages:
    """Run the commands, one after the other, for a project without migrations and an empty database."""
    shutil.rmtree(project.folder / "shop" / "migrations", ignore_errors=True)
    empty_database(project.server, project.database)
    return {name: project.manage(*arguments) for name, arguments in COMMANDS.items()}
