"""Readers for the pages."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.docs.reader import Reader


@pytest.fixture(scope="session")
def shelf() -> Iterator[Path]:
    """A folder below which PostgreSQL's account can work."""
    folder = Path(tempfile.mkdtemp(prefix="docs-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def after_quickstart(shelf: Path) -> Path:
    """Everything that somebody has who did what the quick start says."""
    root = shelf / "quickstart"
    root.mkdir(mode=0o711)
    place = shelf / "after-quickstart"
    with Reader(root) as reader:
        for block in blocks(ROOT / "docs" / "quickstart.md"):
            if block.language != "start":
                reader.follow(block)
        reader.keep(place)
    return place
