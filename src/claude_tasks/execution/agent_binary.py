"""Find the ``claude`` executable: the setting, PATH, then the usual install places.

Under launchd, cron and systemd the PATH is bare; the places below are where its installers put it.
"""

from __future__ import annotations

import os
import shutil
from glob import glob

from claude_tasks.domain.errors import SpawnError

_NAME = "claude"
_USUAL_PLACES = (
    "~/.local/bin/claude",
    "~/.claude/local/claude",
    "~/.claude/bin/claude",
    "/usr/local/bin/claude",
    "/opt/homebrew/bin/claude",
    "~/.npm-global/bin/claude",
    "~/.bun/bin/claude",
    "~/.volta/bin/claude",
    "~/.nvm/versions/node/*/bin/claude",
    "/usr/bin/claude",
)


def find_agent_binary(setting: str | None, *, search_path: str | None = None) -> str:
    """The absolute path of the agent. Errors: `SpawnError` that says where was looked.

    ``search_path`` is another's PATH to look on, such as a service's.
    """
    if setting:
        return _from_setting(setting)
    on_path = shutil.which(_NAME, path=search_path)
    if on_path:
        return os.path.abspath(on_path)
    for place in _USUAL_PLACES:
        for path in sorted(glob(os.path.expanduser(place)), reverse=True):
            if _executable(path):
                return path
    raise SpawnError(
        "the claude binary was not found on PATH nor in the usual install places",
        hint="install it (npm install -g @anthropic-ai/claude-code), "
        "or set CLAUDE_TASKS_CLAUDE_BIN to its path",
    )


def _from_setting(setting: str) -> str:
    path = os.path.expanduser(setting)
    found = path if os.sep in path else shutil.which(path)
    if found and _executable(found):
        return os.path.abspath(found)
    problem = "is not executable" if found and os.path.exists(found) else "does not exist"
    raise SpawnError(
        f"the claude binary {setting} {problem}",
        hint="correct CLAUDE_TASKS_CLAUDE_BIN (or claude_bin in config.toml)",
    )


def _executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
