"""Which of our environment variables the agent's processes inherit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from claude_tasks.settings import without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_LINKS = 40
NO_SCHEDULING_VARIABLE = "CLAUDE_CODE_DISABLE_CRON"
"""Disables the agent's own scheduling tools when set. Only the task decides whether it is set."""

_NOT_INHERITED = ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", NO_SCHEDULING_VARIABLE)
"""With either of the first two set, the CLI refuses to run inside another agent."""


def agent_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """All variables but our secrets, the marks of an outer agent and those that each task decides.

    Spawner and supervisors get the same: an agent can read in /proc the environment with which
    each of its parent processes was started.
    """
    told = without_secrets(environment)
    return {name: value for name, value in told.items() if name not in _NOT_INHERITED}


def with_binary_folder(environment: Mapping[str, str], binary: str) -> dict[str, str]:
    """The environment of the agent at this absolute path, with the agent's folder on PATH.

    An agent that begins with ``#!/usr/bin/env node`` was installed beside that node, and the PATH
    of a service contains neither. A folder already on PATH keeps its position. Where the agent is a
    chain of links, the first folder of the chain that has a node is added too: the script itself
    lies deep inside a package, without one.
    """
    path = environment.get("PATH") or os.defpath
    known = path.split(os.pathsep)
    folders = [os.path.dirname(binary), *_folder_with_node(binary)]
    new = [it for it in dict.fromkeys(folders) if it and it not in known and os.pathsep not in it]
    return {**environment, "PATH": os.pathsep.join([*new, path])}


def _folder_with_node(binary: str) -> list[str]:
    """The first folder along the chain of links that contains a ``node``."""
    for _ in range(_MOST_LINKS):
        folder = os.path.dirname(binary)
        if os.access(os.path.join(folder, "node"), os.X_OK):
            return [folder]
        try:
            binary = os.path.normpath(os.path.join(folder, os.readlink(binary)))
        except OSError:  # the end of the chain
            break
    return []
