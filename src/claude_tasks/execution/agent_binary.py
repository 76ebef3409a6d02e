"""Find the ``claude`` executable: the setting, PATH, then the usual install places.

Under launchd, cron and systemd the PATH is minimal, so the folders its installers use are searched.
"""

from __future__ import annotations

import os
import re
from functools import partial
from glob import escape, glob
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import SpawnError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = "claude"
_USUAL_PLACES = (
    "~/.local/bin",
    "~/.claude/local",
    "~/.claude/bin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "~/.npm-global/bin",
    "~/.bun/bin",
    "~/.volta/bin",
    "~/.local/share/pnpm",
    "~/.local/share/pnpm/bin",
    "~/Library/pnpm",
    "~/Library/pnpm/bin",
    "~/.yarn/bin",
    "~/n/bin",
    "~/.nvm/versions/node/*/bin",
    "~/.config/nvm/versions/node/*/bin",
    "~/.local/share/fnm/node-versions/*/installation/bin",
    "~/Library/Application Support/fnm/node-versions/*/installation/bin",
    "~/.fnm/node-versions/*/installation/bin",
    "~/.local/share/mise/installs/node/*/bin",
    "~/.local/share/mise/installs/npm-anthropic-ai-claude-code/*/bin",
    "~/.asdf/installs/nodejs/*/bin",
    "~/.nodenv/versions/*/bin",
    "/usr/bin",
)
"""Folders. Of several versions below one of them the newest wins. The shims of asdf, mise and
nodenv are left out: they need their manager's own set-up, which a minimal environment lacks."""


def find_agent_binary(setting: str | None, *, search_path: str | None = None) -> str:
    """The absolute path of the agent. Errors: `SpawnError`, which lists the places searched.

    ``search_path`` is a PATH to search instead of this process's, such as a service's.
    """
    if setting:
        return _from_setting(setting)
    on_path = _on_path(_NAME, search_path)
    if on_path:
        return os.path.abspath(on_path)
    for path in _in_usual_places(_NAME):
        return path
    raise SpawnError(
        "the claude binary was not found on PATH nor in the usual install places",
        hint="install it (npm install -g @anthropic-ai/claude-code), "
        "or set CLAUDE_TASKS_CLAUDE_BIN to its path",
    )


def find_node() -> str | None:
    """A ``node`` in the usual install places, for an agent that needs one and found none."""
    return next(_in_usual_places("node"), None)


def _in_usual_places(name: str) -> Iterator[str]:
    for place in _USUAL_PLACES:
        for folder in sorted(_folders(place), key=partial(_version_in, place=place)):
            path = os.path.join(folder, name)
            if _executable(path):
                yield path


def _folders(place: str) -> list[str]:
    """Expand only the pattern's own asterisk: a home folder's name may contain one, or brackets."""
    before, asterisk, after = place.partition("*")
    path = os.path.expanduser(before)
    return glob(escape(path) + asterisk + after) if asterisk else [path]


def _version_in(folder: str, *, place: str) -> tuple[bool, list[int], bool, str]:
    """Sorts the newest version first, ``v22.10.0`` before ``v9.11.2``; names such as ``lts`` last.

    A pre-release comes after its release.
    """
    before, _, after = place.partition("*")
    name = folder[len(os.path.expanduser(before)) : len(folder) - len(after)]
    found = re.fullmatch(r"v?(\d+(?:\.\d+)*)(.*)", name)
    numbers = [-int(part) for part in found[1].split(".")] if found else []
    return not found, numbers, bool(found and found[2]), name


def _from_setting(setting: str) -> str:
    path = os.path.expanduser(setting)
    found = path if os.sep in path else _on_path(path)
    if found and _executable(found):
        return os.path.abspath(found)
    problem = "is not executable" if found and os.path.exists(found) else "does not exist"
    raise SpawnError(
        f"the claude binary {setting} {problem}",
        hint="correct CLAUDE_TASKS_CLAUDE_BIN (or claude_bin in config.toml)",
    )


def _on_path(name: str, search_path: str | None = None) -> str | None:
    """Like ``shutil.which``, without its import, which loads three compressors (2 ms)."""
    path = os.environ.get("PATH", os.defpath) if search_path is None else search_path
    candidates = (os.path.join(folder, name) for folder in path.split(os.pathsep) if folder)
    return next(filter(_executable, candidates), None)


def _executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
