"""Every snippet of the documentation does what the page says."""

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.pages import blocks, pages
from tests.docs.reader import Reader, copy

# The checks have tests of their own, each with the very messages.
TESTED_ELSEWHERE = {"checks.md"}
QUICKSTART = "quickstart.md"


def executed_pages() -> list[Path]:
    return [page for page in pages() if page.name not in {*TESTED_ELSEWHERE, QUICKSTART} and blocks(page)]


def test_the_quick_start_works(after_quickstart: Path) -> None:
    assert (after_quickstart / "work" / "manage.py").exists()


@pytest.mark.parametrize("page", executed_pages(), ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page: Path, shelf: Path, request: pytest.FixtureRequest) -> None:
    with ExitStack() as stack:
        reader: Reader | None = None
        for block in blocks(page):
            if block.language == "start":
                stack.close()
                root = shelf / f"{page.stem}-{block.line}"
                if block.text == "quickstart":
                    copy(request.getfixturevalue("after_quickstart"), root)
                else:
                    root.mkdir(mode=0o711)
                stack.callback(shutil.rmtree, root)
                reader = stack.enter_context(Reader(root, with_postgresql=block.text != "checkout"))
                if block.text != "quickstart":
                    getattr(reader, f"take_{block.text}")()
            else:
                assert reader, f"{block.place}: say where the page begins"
                reader.follow(block)
