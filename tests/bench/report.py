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


@dataclass(frozen=True)
class Report:
    """All figures of one run, and what they were measured on."""

    about: Mapping[str, str]
    figures: list[Figure] = field(default_factory=list)

    @property
    def missed(self) -> list[Figure]:
        """The figures whose bound is missed."""
        return [figure for figure in self.figures if figure.passed is False]

    def as_json(self) -> str:
        figures = [{**asdict(figure), "passed": figure.passed} for figure in self.figures]
        return json.dumps({"about": dict(self.about), "figures": figures}, indent=2, ensure_ascii=False) + "\n"

    def as_markdown(self) -> str:
        lines = ["# Benchmark", "", *(f"- {name}: {value}" for name, value in self.about.items())]
        for part in dict.fromkeys(figure.part for figure in self.figures):
            chosen = [figure for figure in self.figures if figure.part == part]
            lines += [
                "",
                f"## {part}",
                "",
                "| figure | value | bound | | pgcraft_django | against | runs |",
                "|---|---:|---:|---|---:|---:|---:|",
                *map(_row, chosen),
            ]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> None:
        """Write `results.json` and `results.md` into `folder`."""
        folder.mkdir(exist_ok=True)
        (folder / "results.json").write_text(self.as_json())
        (folder / "results.md").write_text(self.as_markdown())


def _row(figure: Figure) -> str:
    verdict = {True: "pass", False: "**FAIL**", None: ""}[figure.passed]
    ours, theirs = (f"{value:,.4g} {figure.medians_unit}" for value in (figure.ours, figure.theirs))
    cells = [
        figure.name,
        f"{figure.value:.3g} {figure.unit}",
        figure.bound,
        verdict,
        ours,
        f"{theirs} ({figure.against})",
        str(figure.runs),
    ]
    return f"| {' | '.join(cells)} |"
