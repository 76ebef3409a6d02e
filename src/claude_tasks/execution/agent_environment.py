"""What the agent's processes inherit of our environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_LINKS = 40
_PRIVATE = (
    "CLAUDE_TASKS_AUTH_TOKEN",
    "CLAUDE_TASKS_READ_TOKEN",
    "CLAUDE_TASKS_DISCORD_WEBHOOK",
    "CLAUDE_TASKS_SLACK_WEBHOOK",
    "CLAUDE_TASKS_WEBHOOK_URL",
    "CLAUDE_TASKS_WEBHOOK_SECRET",
    "CLAUDE_TASKS_APPRISE_URL",
    "CLAUDE_TASKS_HEARTBEAT_URL",
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
)
"""Not for the agent: our own secrets, and the marks that make the CLI refuse to run nested."""


def agent_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """All but what is not for the agent."""
    return {name: value for name, value in environment.items() if name not in _PRIVATE}


def with_binary_folder(environment: Mapping[str, str], binary: str) -> dict[str, str]:
    """The environment of an agent at this absolute path: what lies beside it is on its PATH.

    An agent that begins with ``#!/usr/bin/env node`` was installed beside that node, and the PATH
    of a service leads to neither. What PATH has already keeps its place. Where the agent is a link
    to a link, the folder of the one that has a node beside it counts too; the script itself lies
    deep inside a package, with none.
    """
    path = environment.get("PATH") or os.defpath
    known = path.split(os.pathsep)
    folders = [os.path.dirname(binary), *_folder_with_node(binary)]
    new = [it for it in dict.fromkeys(folders) if it and it not in known and os.pathsep not in it]
    return {**environment, "PATH": os.pathsep.join([*new, path])}


def _folder_with_node(binary: str) -> list[str]:
    """The first folder on the way from link to link in which there is a node."""
    for _ in range(_MOST_LINKS):
        folder = os.path.dirname(binary)
        if os.access(os.path.join(folder, "node"), os.X_OK):
            return [folder]
        try:
            binary = os.path.normpath(os.path.join(folder, os.readlink(binary)))
        except OSError:  # no link any more
            break
    return []
