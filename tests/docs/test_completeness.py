"""What there is, is documented; and what the documentation points to is there."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from django.core.management import load_command_class
from django.core.management.base import BaseCommand

import pgcraft_django
from pgcraft_django import admin, conf, embedded, errors, models, objects, operations
from pgcraft_django.factories.base import Factory, PGCraftModel
from pgcraft_django.postgrest.versions import MAKE_ONE
from tests.docs.pages import BLOCK, ROOT, blocks, pages
from tests.test_architecture import LAYERS

DOCS = ROOT / "docs"
COMMANDS = sorted(path.stem for path in (ROOT / "pgcraft_django" / "management" / "commands").glob("pgcraft_*.py"))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
LANGUAGES = {"python", "diff", "console", "sql", "mermaid", "javascript", "start", "stop"}


def section(page: str, heading: str) -> str:
    text = (DOCS / page).read_text()
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {heading}"
    return found[1]


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page get."""
    prose = BLOCK.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(BLOCK.sub("", page.read_text())):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_every_block_says_what_it_is(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= LANGUAGES
    fenced = [block for block in blocks(page) if block.language not in {"start", "stop"}]
    assert len(re.findall(r"^ *```", page.read_text(), re.MULTILINE)) == 2 * len(fenced)


def test_every_page_is_in_the_index_and_in_the_readme() -> None:
    for place, prefix in ((DOCS / "index.md", ""), (ROOT / "README.md", "docs/")):
        linked = set(LINK.findall(place.read_text()))
        assert {f"{prefix}{page.name}" for page in DOCS.glob("*.md") if page != place} <= linked, place


def test_every_setting_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `(.+?)` \|", section("settings.md", "PGCRAFT"), re.MULTILINE))
    defaults = {key: getattr(conf.Config(), key.lower()) for key in conf.KEYS}
    defaults["ROLES"] = list(defaults["ROLES"])
    assert {key: json.loads(value) for key, value in rows.items()} == defaults


def test_every_environment_variable_is_documented() -> None:
    code = "".join(path.read_text() for path in (ROOT / "pgcraft_django").rglob("*.py"))
    read = set(re.findall(r'"(PGCRAFT_[A-Z_]+|PGRST_(?:DB_PASSWORD|JWT_SECRET))"', code))
    assert read <= set(re.findall(r"`(\w+)`", section("settings.md", "Environment variables")))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_with_its_options(name: str) -> None:
    command = load_command_class("pgcraft_django", name)
    common = {action.dest for action in BaseCommand().create_parser("", "")._actions}
    own = [action for action in command.create_parser("manage.py", name)._actions if action.dest not in common]
    rows = re.findall(r"^\| `([\w-]+)` \|", section("commands.md", name), re.MULTILINE)
    expected = {(action.option_strings or [action.dest])[0] for action in own} - {"path"}
    assert set(rows) == expected


def test_no_command_is_documented_that_is_not_there() -> None:
    mentioned = {name for page in pages() for name in re.findall(r"pgcraft_[a-z_]+", page.read_text())}
    packages = {"pgcraft_django"}
    assert mentioned - packages == set(COMMANDS)


def test_every_option_of_a_model_and_of_an_api_is_documented() -> None:
    options = set(re.findall(r"^\| `(\w+)` \|", section("models-and-api.md", "class PGCraft"), re.MULTILINE))
    assert options == Factory.options
    arguments = re.findall(r"^\| `(\w+)` \|", section("models-and-api.md", "API"), re.MULTILINE)
    assert set(arguments) == set(pgcraft_django.API.__dataclass_fields__)


def test_every_public_name_is_documented() -> None:
    text = "".join(page.read_text() for page in pages())
    names = {*pgcraft_django.__all__, *models.__all__, *admin.__all__}
    names |= {name for name, value in vars(operations).items() if is_operation(name, value)}
    names |= {"start", "stop", "available"} & set(embedded.__all__)
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == set()


def is_operation(name: str, value: Any) -> bool:
    ours = isinstance(value, type) and value.__module__ == operations.__name__
    return ours and not name.startswith("_") and name != "ObjectOperation"


def test_nothing_is_documented_that_does_not_exist_yet() -> None:
    text = "".join(page.read_text() for page in pages())
    known = {*models.__all__, *vars(objects), PGCraftModel.__name__, *vars(errors)}
    assert set(re.findall(r"\bPGCraft[A-Z]\w+", text)) <= known


def test_every_recipe_of_the_playground_is_documented() -> None:
    command = [Path(sys.executable).with_name("just"), "--dump", "--dump-format", "json"]
    justfile = json.loads(subprocess.check_output(command, cwd=ROOT / "playground_project"))
    recipes = {name for name in justfile["recipes"] if not name.startswith("_")}
    aliases = {alias["target"]: name for name, alias in justfile["aliases"].items()}
    rows = re.findall(
        r"^\| `just ([\w-]+)[^|`]*` \| (?:`(\w+)`)? ?\|", section("playground.md", "Commands"), re.MULTILINE
    )
    assert dict(rows) == {name: aliases.get(name, "") for name in recipes}


def test_every_target_of_make_is_documented() -> None:
    text = "".join(page.read_text() for page in pages())
    said = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = [line.split()[1] for line in said.splitlines()]
    assert [target for target in targets if f"make {target}" not in text] == []


def test_what_is_installed_is_this_package_with_extras_that_it_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = "".join(page.read_text() for page in pages())
    for path, extra in re.findall(r"pip install \"?([\w./-]*pgcraft[\w-]*)(?:\[(\w+)\])?", text):
        assert Path(path).name == project["name"]
        assert not extra or extra in project["optional-dependencies"]


def test_the_picture_of_the_layers_is_that_of_the_code() -> None:
    picture = section("design.md", "Layers")
    assert [set(names.split(", ")) for names in re.findall(r'\["([\w, ]+)"\]', picture)] == LAYERS


def test_the_changelog_names_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_secrets_are_made_in_one_way_everywhere() -> None:
    sources = [*pages(), *(ROOT / "pgcraft_django").rglob("*.py"), *(ROOT / "playground_project").rglob("*.py")]
    ways = {way for path in sources for way in re.findall(r"token_urlsafe\(\d+\)", path.read_text())}
    lines = {line for path in sources for line in re.findall(r"python -c .*token_urlsafe.*?\)\).", path.read_text())}
    assert ways == {"token_urlsafe(32)"}
    assert lines == {MAKE_ONE.removeprefix("Make one: ")}
