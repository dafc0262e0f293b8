"""Pages of the documentation as sequences of blocks.

Comments that readers do not see say where a page begins, `<!-- start: quickstart -->`, and when the server is to be
stopped, `<!-- stop -->`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$|^<!-- (?P<comment>start|stop)(?:: (?P<where>\w+))? -->$",
    re.MULTILINE | re.DOTALL,
)
PATH_LINE = re.compile(r"# (?P<path>[\w./…-]+\.py)(?:, (?P<how>added|written by makemigrations))?")


@dataclass(frozen=True)
class Block:
    """A fenced block, or one of the comments."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return every page that is documentation."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of `page` in their order."""
    text = page.read_text()
    found = []
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["comment"]:
            found.append(Block(page, line, match["comment"], match["where"] or ""))
        else:
            found.append(Block(page, line, match["language"], match["text"]))
    return found


def commands(text: str) -> list[tuple[str, str]]:
    """Return each command of a console block with what is shown below it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\") and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        elif found:
            found[-1][1].append(line)
        else:
            raise AssertionError(f"a console block starts with a command: {line}")
    return [(command, "\n".join(lines)) for command, lines in found]


def pattern(shown: str) -> str:
    """Return what a text must match to be what is shown, where … stands for what was left out.

    Alone on a line … stands for any lines, otherwise for a part of its line.
    """
    lines = []
    for line in shown.strip("\n").split("\n"):
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(re.escape(line.rstrip()).replace("…", ".*") + r"[^\S\n]*\n")
    return "".join(lines)
