"""Install the real Claude CLI for the end-to-end tests, outside the tree, and print its path.

The package is under a licence of its own, so it is downloaded where it is tested and never kept in
this repository. Run as a program: the path on standard output; exit 3 when npm is not there, 1 when
the installation fails. A second call finds the first one's result and does nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "2.1.330"
PACKAGE = "@anthropic-ai/claude-code"
INSTALL_SECONDS = 540
EXIT_NO_NPM = 3


class InstallError(Exception):
    """The CLI cannot be had here; ``exit_code`` tells "no npm" (3) from "it failed" (1)."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def cache_folder() -> Path:
    """Where this version lives: ``$XDG_CACHE_HOME/claude-tasks-e2e/claude-code-VERSION``."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "claude-tasks-e2e" / f"claude-code-{VERSION}"


def install() -> Path:
    """The path of a working ``claude`` of ``VERSION``, installed now if it was not before."""
    folder = cache_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(folder.name + ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test jobs may start at the same time
        return find_executable(folder) or _install_into(folder)


def find_executable(folder: Path) -> Path | None:
    """The first executable in ``folder`` that runs here and says it is ``VERSION``, else None.

    npm may install several platform packages side by side (glibc and musl), so each is asked.
    """
    return next((path for path in _candidates(folder) if _is_wanted(path)), None)


def _candidates(folder: Path) -> Iterator[Path]:
    packages = folder / "node_modules" / "@anthropic-ai"
    yield from sorted(packages.glob("claude-code-*/claude"))
    yield from sorted(packages.glob("claude-code/bin/claude*"))


def _is_wanted(path: Path) -> bool:
    if not os.access(path, os.X_OK):
        return False
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:  # built for another libc or processor: its loader is missing
        return False
    return answer.returncode == 0 and answer.stdout.startswith(VERSION)


def _install_into(folder: Path) -> Path:
    """Install beside ``folder``, then move: a folder with the final name is always complete."""
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError(
            "npm is not installed, so the real Claude CLI cannot be fetched", exit_code=EXIT_NO_NPM
        )
    staging = folder.with_name(folder.name + ".partial")
    shutil.rmtree(staging, ignore_errors=True)
    _npm_install(npm, staging)
    if find_executable(staging) is None:
        raise InstallError(f"{PACKAGE}@{VERSION} holds no executable that runs on this machine")
    shutil.rmtree(folder, ignore_errors=True)
    staging.rename(folder)
    found = find_executable(folder)
    if found is None:
        raise InstallError(f"{folder} changed while it was being installed")
    return found


def _npm_install(npm: str, prefix: Path) -> None:
    prefix.mkdir(parents=True)
    command = [npm, "install", "--prefix", str(prefix), "--no-save", "--no-audit", "--no-fund"]
    # Scripts are off: the platform package already holds the executable, nothing is to be built.
    command += ["--ignore-scripts", "--loglevel=error", f"{PACKAGE}@{VERSION}"]
    try:
        answer = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"npm did not finish within {INSTALL_SECONDS} s") from error
    if answer.returncode != 0:
        raise InstallError(f"npm install failed:\n{answer.stdout}{answer.stderr}".rstrip())


def main() -> int:
    """Install and print the path. 0 fine, 1 failed, 3 no npm."""
    try:
        print(install())
    except InstallError as error:
        print(f"install_claude: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
