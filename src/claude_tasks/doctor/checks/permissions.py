"""Folders are 0700, files 0600: prompts and output are private, and tasks are code.

Ours are the folder, and in it the names that this program uses. What somebody else put there is
left alone, and the folder keeps others out of it. Links are not followed, but for the folders that
a person may put elsewhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.doctor.finding import (
    Verdict,
    passed,
    shell,
    some,
    warned,
)
from claude_tasks.doctor.folders import MEND

if TYPE_CHECKING:
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.settings import Settings
    from claude_tasks.system.data_folder import DataFolder

import stat

from claude_tasks.settings import SECRET_SETTINGS

FOLDER_MODE = 0o700
FILE_MODE = 0o600
MOST_ENTRIES = 5000
"""Logs of years are not walked: their folder keeps others out, whatever stands in it."""
_FOR_OTHERS = 0o077

_WRITE_BITS = 0o022
_STICKY = 0o1000


class LooseEntry(NamedTuple):
    """A file or folder of ours that others may look into. Modes are permission bits.

    ``outside`` is where a link out of the data folder leads: shown, and not ours to change.
    """

    path: str
    mode: int
    wanted: int
    holds_secrets: bool = False
    outside: bool = False


class PermissionFacts(NamedTuple):
    """``foreign`` belongs to somebody else; ``partial`` says that not all was looked at."""

    looked_at: int
    loose: tuple[LooseEntry, ...] = ()
    foreign: tuple[str, ...] = ()
    as_root: bool = False
    unreadable: tuple[str, ...] = ()
    partial: bool = False


def permissions(*, settings: Settings) -> PermissionFacts:
    """Who may look into the data folder."""
    return permission_facts(settings.folder)


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
        # The mode of the database counts for any owner: we run the tasks in it.
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


def judge(permissions: PermissionFacts) -> Finding:
    """Folders 0700, files 0600: prompts and output are private, and tasks are code."""
    name = "permissions"
    if not permissions.looked_at:
        return passed(name, "none yet: there is nothing to protect")
    if permissions.loose:
        ordered = sorted(permissions.loose, key=_danger, reverse=True)
        verdict = Verdict.FAIL if any(map(_danger, ordered)) else Verdict.WARN
        text = f"open to others: {some([_mode_text(entry) for entry in ordered])}"
        return warned(name, text, _close(ordered))._replace(verdict=verdict)
    if permissions.foreign:
        text = f"owned by another user: {some(list(permissions.foreign))}"
        if permissions.as_root:  # a service's folder: taking it would lock its owner out
            return warned(name, f"{text}; run claude-tasks as that user")
        return warned(name, text, f'sudo chown "$(id -u)" {shell(permissions.foreign[0])}')
    if permissions.unreadable:
        text = f"cannot be looked into: {some(list(permissions.unreadable))}"
        return warned(name, text, shell("chmod", "u+rwx", permissions.unreadable[0]))
    part = "the first " if permissions.partial else ""
    entries = "entry" if permissions.looked_at == 1 else "entries"
    return passed(name, f"{part}{permissions.looked_at} {entries}: private to their owner")


def _danger(entry: LooseEntry) -> bool:
    """Others can change it, and so run code as its owner; or it holds a token."""
    return entry.holds_secrets or bool(entry.mode & _WRITE_BITS)


def _close(loose: list[LooseEntry]) -> str | None:
    """What is ours, ``--fix`` closes; of what a link leads to, one at a time; a /tmp stays open."""
    if not all(entry.outside for entry in loose):
        return MEND
    own = [entry for entry in loose if not entry.mode & _STICKY]
    return shell("chmod", f"{own[0].wanted:o}", own[0].path) if own else None


def _mode_text(entry: LooseEntry) -> str:
    text = f"{entry.path} is {entry.mode:04o}, not {entry.wanted:04o}"
    if entry.outside and entry.mode & _STICKY:
        return f"{text}, and shared with others: link to a folder of your own instead"
    return text
