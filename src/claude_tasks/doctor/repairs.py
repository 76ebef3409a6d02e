"""What ``--fix`` may do: close our folders and files to others, make folders that are missing.

Nothing here changes the content of a file, and nothing is done that was not shown before.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.doctor.catalog import check_module
from claude_tasks.doctor.finding import shell

if TYPE_CHECKING:
    from collections.abc import Collection

    from claude_tasks.doctor.facts import FolderFacts
    from claude_tasks.doctor.looking import Look

FOLDER_MODE = 0o700


class Repair(NamedTuple):
    """One change: a folder to make, or a mode to set."""

    path: str
    mode: int
    makes_folder: bool

    @property
    def command(self) -> str:
        """The same, as a command."""
        if self.makes_folder:
            return f"mkdir -p -m {self.mode:o} {shell(self.path)}"
        return f"chmod {self.mode:o} {shell(self.path)}"


class Outcome(NamedTuple):
    """The result of a repair: ``problem`` is None where it was done."""

    command: str
    problem: str | None = None


def plan_repairs(look: Look, names: Collection[str]) -> list[Repair]:
    """What would be done for these checks, outermost first; nothing is done."""
    data: FolderFacts = look.value("data")
    folders = []
    if "data_dir" in names:
        folders.append(data)
    if "logs_dir" in names and (data.is_folder or not data.exists):
        folders += [look.value("logs")] if data.exists or "data_dir" in names else []
    makes = [
        Repair(folder.path, FOLDER_MODE, makes_folder=True)
        for folder in folders
        if not folder.exists and folder.barred is None and folder.base_is_folder
    ]
    if "permissions" not in names:
        return makes
    loose = look.value("permissions", check_module("permissions")).loose
    return makes + [
        Repair(entry.path, entry.wanted, makes_folder=False) for entry in loose if not entry.outside
    ]


def apply_repair(repair: Repair) -> Outcome:
    """Do it, and say what came of it. A link that took a file's place since is left alone."""
    try:
        if repair.makes_folder:
            os.makedirs(repair.path, mode=repair.mode, exist_ok=True)
        elif stat.S_ISLNK(os.lstat(repair.path).st_mode):
            return Outcome(repair.command, "left alone: it is a link by now")
        else:
            # By name: to open the database, if only to set its mode, would drop its locks.
            os.chmod(repair.path, repair.mode)
    except FileNotFoundError:
        return Outcome(repair.command, "gone by now: runs come and go")
    except OSError as error:
        return Outcome(repair.command, str(error.strerror))
    return Outcome(repair.command)
