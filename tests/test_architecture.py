"""What the code promises about itself: imports run downward, SQL is quoted in one place, names are public."""

import ast
from pathlib import Path

import pytest

import pgcraft_django

PACKAGE = Path(pgcraft_django.__file__).parent

# Each layer may import from the layers below it, and from itself.
LAYERS = [
    {"pytest_plugin"},
    {"apps", "checks", "management", "middleware", "testing", "urls", "views"},
    {"logins"},
    {"tokens", "drift"},
    {"autodetector", "postgrest", "connections", "grouping", "models", "admin", "migrating"},
    {
        "declared",
        "operations",
        "attribute_operations",
        "history_operations",
        "writer",
        "embedding",
        "lifecycle",
        "request_role",
    },
    {"policies"},
    {"registry"},
    {"recorded"},
    {"factories", "api", "attribution"},
    {"plugins"},
    {"conditions"},
    {"columns"},
    {"objects", "embedded", "messages", "bodies"},
    {"naming"},
    {"conf", "diagnosis"},
    {"errors"},
]
FACE = PACKAGE / "plugins" / "__init__.py"
"""It names what is above it: for type checkers, and at run time when that is asked for."""
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem != "__init__")


def part(path: Path) -> str:
    """Return the module or folder directly below the package that `path` belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> set[str]:
    found = set()
    tree = ast.parse(path.read_text())
    if path == FACE:
        tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "pgcraft_django":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("pgcraft_django."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("pgcraft_django.")}
    return found & LEVEL.keys()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    assert part(path) in LEVEL, "give the module a layer"
    upward = {name for name in imported(path) if LEVEL[name] < LEVEL[part(path)]}
    assert upward == set()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_open_with_their_idea(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())) or not path.read_text()


FOLDERS = [
    *("attribution", "autodetector", "drift", "embedded", "lifecycle", "policies"),
    *("factories", *(f"factories/{name}" for name in ("append_only", "eav", "ledger", "login", "state_machine"))),
]
"""In the others, each file is one of a kind: a command, a kind of object."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_opens_with_what_is_in_it(folder: str) -> None:
    said = ast.get_docstring(ast.parse((PACKAGE / folder / "__init__.py").read_text())) or ""
    assert [path.stem for path in (PACKAGE / folder).glob("[!_]*.py") if f"`{path.stem}`" not in said] == []


def test_no_module_is_too_long_to_read() -> None:
    long = {path.name: length for path in modules() if (length := len(path.read_text().splitlines())) > 420}
    assert long == {}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_python_with_optimization_leaves_nothing_out(path: Path) -> None:
    assert [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)] == []


def test_public_names_can_be_imported() -> None:
    assert [name for name in pgcraft_django.__all__ if not hasattr(pgcraft_django, name)] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_that"):
        _ = pgcraft_django.nothing_like_that
