"""The table of checks, the documentation and the tests all know the same numbers as the code."""

import re
from collections.abc import Iterable
from pathlib import Path

from pgcraft_django import checks

ROOT = Path(__file__).resolve().parents[2]


def numbers(paths: Iterable[Path], pattern: str) -> set[str]:
    return {number for path in paths for number in re.findall(pattern, path.read_text())}


def table() -> dict[str, str]:
    """Return number -> sentence, from the docstring of the package."""
    return dict(re.findall(r"^    ([EW]\d{3})  (.+)$", checks.__doc__ or "", re.MULTILINE))


def test_every_number_in_the_code_is_in_the_table_and_the_other_way_round() -> None:
    code = (ROOT / "pgcraft_django").rglob("*.py")
    assert numbers(code, r'(?:error|warning|Finding)\(\s*"([EW]\d{3})"') == table().keys()


def test_the_documentation_says_the_same_of_every_number() -> None:
    text = (ROOT / "docs" / "checks.md").read_text()
    assert dict(re.findall(r"^\| `([EW]\d{3})` \| (.+?) \| .+ \|$", text, re.MULTILINE)) == table()


def test_every_number_is_tested() -> None:
    tests = (path for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name)
    assert numbers(tests, r'"([EW]\d{3})"') == table().keys()
