"""Figures, their bounds, and how they are written down."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number with its bound, and the two medians that it comes from."""

    part: str
    name: str
    value: float
    """The median."""
    spread: tuple[float, float] | None
    """Between what the middle half of the measurements lies."""
    unit: str
    """Of `value`: `x` for ratios."""
    at_least: float | None = None
    at_most: float | None = None
    ours: float
    theirs: float
    medians_unit: str
    against: str
    runs: int

    @property
    def passed(self) -> bool | None:
        """Whether the bound is kept; None where there is none."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most

    @property
    def bound(self) -> str:
        """The bound for people."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    def as_line(self, judged: bool = True) -> str:
        """Return the figure with its bound, and whether it keeps it, in one line."""
        parts = [f"{self.part}: {self.name}, against {self.against}: {self.measured}"]
        if self.bound:
            parts.append(f"must be {self.bound}")
        if judged and self.verdict:
            parts.append(self.verdict)
        return ", ".join(parts)

    @property
    def measured(self) -> str:
        """The value with its spread, for people."""
        middle = "" if self.spread is None else f" ({self.spread[0]:.3g} to {self.spread[1]:.3g})"
        return f"{self.value:.3g} {self.unit}{middle}"

    @property
    def verdict(self) -> str:
        """`ok`, `MISS`, or nothing where there is no bound."""
        return {True: "ok", False: "MISS", None: ""}[self.passed]


@dataclass(frozen=True)
class Note:
    """What could not be measured, and why."""

    part: str
    text: str


@dataclass(frozen=True)
class Report:
    """All figures of one run, and what they were measured on. Unless it is `judged`, bounds are only told."""

    about: Mapping[str, str]
    judged: bool = True
    figures: list[Figure] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @property
    def missed(self) -> list[Figure]:
        """The figures whose bound is missed."""
        return [figure for figure in self.figures if self.judged and figure.passed is False]

    def add(self, found: Figure | Note) -> str:
        """Add what was found; return it in one line."""
        if isinstance(found, Note):
            self.notes.append(found)
            return f"{found.part}: {found.text}"
        self.figures.append(found)
        return found.as_line(self.judged)

    def as_json(self) -> str:
        figures = [{**asdict(figure), "passed": figure.passed if self.judged else None} for figure in self.figures]
        whole = {"about": dict(self.about), "figures": figures, "notes": [asdict(note) for note in self.notes]}
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"

    def as_markdown(self) -> str:
        lines = ["# Benchmark", "", *(f"- {name}: {value}" for name, value in self.about.items())]
        for part in dict.fromkeys(found.part for found in [*self.figures, *self.notes]):
            lines += ["", f"## {part}"]
            if chosen := [figure for figure in self.figures if figure.part == part]:
                lines += [
                    "",
                    "| figure | median (middle half) | bound | | pgcraft_django | against | runs |",
                    "|---|---:|---:|---|---:|---:|---:|",
                    *(_row(figure, self.judged) for figure in chosen),
                ]
            if notes := [note.text for note in self.notes if note.part == part]:
                lines += ["", *(f"- {note}" for note in notes)]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> None:
        """Write `results.json` and `results.md` into `folder`."""
        folder.mkdir(exist_ok=True)
        (folder / "results.json").write_text(self.as_json())
        (folder / "results.md").write_text(self.as_markdown())


def _row(figure: Figure, judged: bool) -> str:
    ours, theirs = (f"{value:,.4g} {figure.medians_unit}" for value in (figure.ours, figure.theirs))
    cells = [
        figure.name,
        figure.measured,
        figure.bound,
        figure.verdict if judged else "",
        ours,
        f"{theirs} ({figure.against})",
        str(figure.runs),
    ]
    return f"| {' | '.join(cells)} |"
