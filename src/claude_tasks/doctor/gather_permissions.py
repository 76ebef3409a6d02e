"""Who may look into the data folder: every entry's mode and owner. Links are not followed."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from claude_tasks.doctor.facts import LooseEntry, PermissionFacts

if TYPE_CHECKING:
    from claude_tasks.data_folder import DataFolder

FOLDER_MODE = 0o700
FILE_MODE = 0o600
MOST_ENTRIES = 5000
"""Logs of years are not walked: their folder keeps others out, whatever stands in it."""
_FOR_OTHERS = 0o077


def permission_facts(folder: DataFolder, *, most: int = MOST_ENTRIES) -> PermissionFacts:
    """All entries, level by level, at most so many."""
    secrets = (folder.auth_token, folder.read_token)
    walk = _Walk(secrets, most)
    walk.start(folder.root)
    return PermissionFacts(
        looked_at=walk.looked_at,
        loose=tuple(walk.loose),
        foreign=tuple(walk.foreign),
        unreadable=tuple(walk.unreadable),
        partial=walk.partial,
    )


class _Walk:
    """One walk, from the top: what matters most is seen first."""

    def __init__(self, secrets: tuple[str, ...], most: int) -> None:
        self._secrets = secrets
        self._most = most
        self._user = os.geteuid()
        self.looked_at = 0
        self.partial = False
        self.loose: list[LooseEntry] = []
        self.foreign: list[str] = []
        self.unreadable: list[str] = []

    def start(self, root: str) -> None:
        try:
            status = os.stat(root)  # the data folder itself may be a link
        except OSError:
            return
        self._enter(root, status)
        level = [root]
        while level and not self.partial:
            level = [inner for folder in level for inner in self._folder(folder)]

    def _folder(self, path: str) -> list[str]:
        """Look at a folder's entries; the folders among them."""
        try:
            with os.scandir(path) as entries:
                return [entry.path for entry in entries if self._look(entry)]
        except PermissionError:
            self.unreadable.append(path)
        except (FileNotFoundError, NotADirectoryError):
            return []  # gone meanwhile: runs come and go
        return []

    def _look(self, entry: os.DirEntry[str]) -> bool:
        """Whether it is a folder to look into."""
        if self.looked_at >= self._most:
            self.partial = True
            return False
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return False  # likewise
        if not stat.S_ISLNK(status.st_mode):
            self._enter(entry.path, status)
        return stat.S_ISDIR(status.st_mode)

    def _enter(self, path: str, status: os.stat_result) -> None:
        self.looked_at += 1
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != self._user:
            self.foreign.append(path)
        elif mode & _FOR_OTHERS:
            wanted = FOLDER_MODE if stat.S_ISDIR(status.st_mode) else FILE_MODE
            self.loose.append(LooseEntry(path, mode, wanted, path in self._secrets))
