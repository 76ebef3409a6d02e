"""A release closes the changelog, sets the version, commits and tags, or changes nothing."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING

import pytest
from tools import release as module
from tools.release import CHANGELOG, VERSION_FILE, RefusedError, closed_changelog, release

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2030, 2, 1)
OPEN = "# Changelog\n\n## 1.1.0 - unreleased\n\n- New.\n\n## 1.0.0 - 2029-01-01\n\n- First.\n"


def git(root: Path, *words: str) -> str:
    names = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    done = subprocess.run(
        ["git", *names, *words], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / VERSION_FILE).parent.mkdir(parents=True)
    (tmp_path / VERSION_FILE).write_text('"""It."""\n\n__version__ = "1.0.0"\n')
    (tmp_path / CHANGELOG).write_text(OPEN)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "all")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@b.example")
    return tmp_path


def test_a_release_is_a_commit_a_tag_and_a_distribution(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stub = tmp_path_factory.mktemp("bin") / "build"
    stub.write_text('#!/bin/sh\nmkdir -p dist && touch "dist/claude_tasks-1.1.0.tar.gz"\n')
    stub.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stub))
    assert [path.name for path in release("1.1.0", root=root, today=TODAY)] == [
        "claude_tasks-1.1.0.tar.gz"
    ]
    assert git(root, "log", "-1", "--format=%s") == "release: 1.1.0"
    assert git(root, "tag") == "v1.1.0"
    assert '__version__ = "1.1.0"' in (root / VERSION_FILE).read_text()
    assert git(root, "status", "--porcelain", "--untracked-files=no") == ""


def test_the_open_part_of_the_changelog_gets_its_date() -> None:
    assert closed_changelog(OPEN, "1.1.0", TODAY) == (
        "# Changelog\n\n## 1.2.0 - unreleased\n\n## 1.1.0 - 2030-02-01\n\n- New.\n\n"
        "## 1.0.0 - 2029-01-01\n\n- First.\n"
    )


@pytest.mark.parametrize("version", ["", "1.1", "v1.1.0", "1.1.0rc1"])
def test_what_is_no_version_is_refused(root: Path, version: str) -> None:
    with pytest.raises(RefusedError, match="no version"):
        release(version, root=root, today=TODAY)


def test_nothing_to_tell_or_nothing_committed_is_refused(root: Path) -> None:
    (root / CHANGELOG).write_text("# Changelog\n")
    with pytest.raises(RefusedError, match="not committed"):
        release("1.1.0", root=root, today=TODAY)
    git(root, "commit", "--quiet", "--all", "--message", "none")
    with pytest.raises(RefusedError, match="has nothing under"):
        release("1.1.0", root=root, today=TODAY)
    git(root, "tag", "v1.1.0")
    with pytest.raises(RefusedError, match="there already"):
        release("1.1.0", root=root, today=TODAY)
    assert '__version__ = "1.0.0"' in (root / VERSION_FILE).read_text()


def test_the_project_has_a_changelog_that_can_be_closed() -> None:
    text = (module.ROOT / CHANGELOG).read_text("utf-8")
    assert "unreleased" in closed_changelog(text, "9.9.9", TODAY)
