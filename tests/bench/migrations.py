"""What migration commands cost: the same models with PGCraftSimple, all exposed, and with plain Django."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pgcraft_django.embedded import Server
from tests.bench.measuring import Pair, alternate, compare
from tests.bench.project import Project, Usage, drop_database, empty_database
from tests.bench.report import Figure

SIZE = 300
"""Number of models that the ratios are judged at."""
LARGE = 1000
SIZES = (100, SIZE, LARGE)

MOST_TIMES = 1.5
MOST_GROWTH = 1.1
"""How much more the package may add for each of 1,000 models than for each of 300. Only what it adds is judged,
because Django's own cost for a model grows; and in calls of functions, which come out the same each time, because a
small difference of large times drowns in what else the machine does."""

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
    """Yield ratios at each size, judged at 300 models, and how the cost for each model grows."""
    calls: dict[tuple[int, str], Pair] = {}
    for size in sizes:
        with _projects(server, size) as (ours, plain):
            rounds = max(runs // 3, 1) if size == LARGE else runs
            say(f"migrations of {size:,} models, {rounds} times")
            usages = alternate(rounds, partial(_run, ours), partial(_run, plain))
            for command in COMMANDS:
                pairs = [(ours_used[command], plain_used[command]) for ours_used, plain_used in usages]
                yield _ratio(size, f"{command}: time", [(one.seconds, other.seconds) for one, other in pairs], "s")
                memory = [(one.megabytes, other.megabytes) for one, other in pairs]
                yield _ratio(size, f"{command}: memory", memory, "MB")
            if size in (SIZE, LARGE):
                say(f"calls for {size:,} models")
                counted = _count(ours), _count(plain)
                calls.update({(size, command): (counted[0][command], counted[1][command]) for command in COMMANDS})
    if LARGE in sizes:
        for command in COMMANDS:
            yield _growth(command, calls[LARGE, command], calls[SIZE, command])


def _ratio(size: int, name: str, pairs: list[Pair], unit: str) -> Figure:
    return compare(
        pairs,
        part=f"Migrations of {size:,} models",
        name=name,
        at_most=MOST_TIMES if size == SIZE else None,
        medians_unit=unit,
        against="plain Django",
    )


def _growth(command: str, large: Pair, small: Pair) -> Figure:
    large_added, small_added = (large[0] - large[1]) / LARGE, (small[0] - small[1]) / SIZE
    return Figure(
        part="Growth",
        name=f"{command}: added for each of {LARGE:,} models, against each of {SIZE}",
        value=large_added / small_added,
        spread=None,
        unit="x",
        at_most=MOST_GROWTH,
        ours=large_added,
        theirs=small_added,
        medians_unit="calls a model",
        against=f"of {SIZE}",
        runs=1,
    )


@contextmanager
def _projects(server: Server, size: int) -> Iterator[tuple[Project, Project]]:
    """Yield our project and the plain one."""
    with tempfile.TemporaryDirectory(prefix="pgcraft-bench-") as folder:
        ours = _project(Path(folder, "ours"), server, ["pgcraft_django", "shop"], OURS, size)
        plain = _project(Path(folder, "plain"), server, ["shop"], PLAIN, size)
        try:
            yield ours, plain
        finally:
            for project in (ours, plain):
                drop_database(server, project.database)


def _project(folder: Path, server: Server, apps: list[str], base: str, size: int) -> Project:
    models = HEAD.format(base=base) + "".join(MODEL.format(number=number) for number in range(size))
    project = Project(folder, server, f"bench_{folder.name}", apps, models, pgcraft={})
    project.write()
    project.manage("check")  # once for the bytecode
    return project


def _run(project: Project) -> Usages:
    """Run the commands, one after the other, for a project without migrations and an empty database."""
    _empty(project)
    return {name: project.manage(*arguments) for name, arguments in COMMANDS.items()}


def _count(project: Project) -> dict[str, int]:
    """Do the same, and return how many calls each command makes."""
    _empty(project)
    return {name: project.count_calls(*arguments) for name, arguments in COMMANDS.items()}


def _empty(project: Project) -> None:
    shutil.rmtree(project.folder / "shop" / "migrations", ignore_errors=True)
    empty_database(project.server, project.database)
