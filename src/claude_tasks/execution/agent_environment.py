"""What the agent's processes inherit of our environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from claude_tasks.settings import without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_LINKS = 40
NO_SCHEDULING_VARIABLE = "CLAUDE_CODE_DISABLE_CRON"
"""What takes the tools that schedule runs from an agent: its task decides that, nobody else."""

_NOT_INHERITED = ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", NO_SCHEDULING_VARIABLE)
"""The first two are the marks that make the CLI refuse to run nested."""


def agent_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """All but our own secrets, the marks of an agent around us and what each task decides.

    Also for whatever has an agent below it: /proc shows a process the environment that each of its
    parents was started with.
    """
    told = without_secrets(environment)
    return {name: value for name, value in told.items() if name not in _NOT_INHERITED}


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
