"""Who may look into the data folder: mode and owner of what is ours in it.

Ours are the folder, and in it the names that this program uses. What somebody else put there is
left alone, and the folder keeps others out of it. Links are not followed, but for the folders that
a person may put elsewhere.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from claude_tasks.doctor.facts import LooseEntry, PermissionFacts
from claude_tasks.settings import SECRET_SETTINGS

if TYPE_CHECKING:
    from claude_tasks.system.data_folder import DataFolder

FOLDER_MODE = 0o700
FILE_MODE = 0o600
MOST_ENTRIES = 5000
"""Logs of years are not walked: their folder keeps others out, whatever stands in it."""
_FOR_OTHERS = 0o077


def permission_facts(folder: DataFolder, *, most: int = MOST_ENTRIES) -> PermissionFacts:
    """All entries of ours, level by level, at most so many."""
    walk = _Walk(folder, most)
    walk.start()
    return PermissionFacts(
        looked_at=walk.looked_at,
        loose=tuple(walk.loose),
        foreign=tuple(walk.foreign),
        as_root=os.geteuid() == 0,
        unreadable=tuple(walk.unreadable),
        partial=walk.partial,
    )


class _Walk:
    """One walk, from the top: what matters most is seen first."""

    def __init__(self, folder: DataFolder, most: int) -> None:
        self._folder = folder
        self._root = os.path.realpath(folder.root)
        self._inner = (folder.logs, folder.runs, folder.nodes)
        self._most = most
        self._user = os.geteuid()
        self.looked_at = 0
        self.partial = False
        self.loose: list[LooseEntry] = []
        self.foreign: list[str] = []
        self.unreadable: list[str] = []

    def start(self) -> None:
        if not os.path.isdir(self._root):
            return
        self._enter(self._root, os.stat(self._root))
        level = self._own(self._folder.root)
        while level and not self.partial:
            level = [inner for folder in level for inner in self._within(folder)]

    def _own(self, root: str) -> list[str]:
        """Look at what is ours of the data folder's entries; the folders among them."""
        database = os.path.basename(self._folder.database)
        files = {self._folder.config, self._folder.auth_token, self._folder.read_token}
        folders = []
        for path in self._listed(root):
            if path in self._inner and os.path.isdir(path):
                path = os.path.realpath(path)  # noqa: PLW2901 (one that a person put elsewhere)
                self._look(path)
                folders.append(path)
            elif path in files or os.path.basename(path).startswith(database):
                self._look(path)
        return folders

    def _within(self, folder: str) -> list[str]:
        return [path for path in self._listed(folder) if self._look(path)]

    def _listed(self, path: str) -> list[str]:
        try:
            return [os.path.join(path, name) for name in os.listdir(path)]
        except PermissionError:
            self.unreadable.append(path)
            return []
        except (FileNotFoundError, NotADirectoryError):
            return []  # gone meanwhile: runs come and go

    def _look(self, path: str) -> bool:
        """Whether it is a folder to look into."""
        if self.looked_at >= self._most:
            self.partial = True
            return False
        try:
            status = os.lstat(path)
        except OSError:
            return False  # likewise
        if not stat.S_ISLNK(status.st_mode):
            self._enter(path, status)
        return stat.S_ISDIR(status.st_mode)

    def _enter(self, path: str, status: os.stat_result) -> None:
        self.looked_at += 1
        mode = stat.S_IMODE(status.st_mode)
        is_ours = status.st_uid == self._user
        if not is_ours:
            self.foreign.append(path)
        # The database is judged by its mode too, whoever owns it: what stands in it is run as us.
        if mode & _FOR_OTHERS and (is_ours or path.startswith(self._folder.database)):
            wanted = FOLDER_MODE if stat.S_ISDIR(status.st_mode) else FILE_MODE
            outside = path != self._root and not _is_within(path, self._root)
            outside = outside and not _is_within(path, self._folder.root)
            self.loose.append(
                LooseEntry(path, mode, wanted, self._is_secret(path), outside or not is_ours)
            )

    def _is_secret(self, path: str) -> bool:
        if path in (self._folder.auth_token, self._folder.read_token):
            return True
        return path == self._folder.config and _holds_secrets(path)


def _is_within(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def _holds_secrets(path: str) -> bool:
    """Whether settings are in it that open something: tokens, addresses of channels."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            names = [line.partition("=")[0].strip(" \t\"'") for line in file if "=" in line]
    except OSError:  # then it is no reader's secret either
        return False
    return not set(SECRET_SETTINGS).isdisjoint(names)
