"""Linux without /proc, in a mount namespace: whatever would start agents says so before it does."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cli.program import Program

_HIDDEN = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")


def _can_hide() -> bool:
    """Only for root, and not in every container."""
    if sys.platform != "linux":
        return False
    return subprocess.run([*_HIDDEN, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _can_hide(), reason="no mount namespace can be made here")
def test_what_starts_agents_says_at_once_that_proc_is_missing(program: Program) -> None:
    program.installation.add(name="hello")
    for argv in (("daemon",), ("serve", "--port", "0"), ("run", "hello")):
        done = subprocess.run(
            [*_HIDDEN, sys.executable, "-m", "claude_tasks", *argv],
            env=program.environment, cwd=program.installation.folder,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert "/proc is not mounted" in done.stderr
        assert "mount -t proc" in done.stderr
        assert "Traceback" not in done.stderr
    assert not program.installation.starts.exists()
    assert program.installation.query("SELECT COUNT(*) FROM nodes") == [(0,)]


@pytest.mark.skipif(not _can_hide(), reason="no mount namespace can be made here")
def test_what_only_looks_works_without_proc(program: Program) -> None:
    program.installation.add(name="hello")
    for argv in (
        ("list",),
        ("status",),
        ("show", "hello"),
        ("why", "hello"),
        ("runs",),
        ("doctor", "database", "runs"),
    ):
        done = subprocess.run(
            [*_HIDDEN, sys.executable, "-m", "claude_tasks", *argv],
            env=program.environment, cwd=program.installation.folder,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
