"""Whether the files behind a path are still those that were opened: device and inode, by stat.

Without this check a node would go on writing into a database that was renamed or removed, and start
runs that no command shows. Where another database was put in its place, each tick would fire twice,
and a node that records an end in the old one would remove the folder that the new one needs. The
same holds where only the log or its index was removed: a later process makes new ones, and neither
sees the other's writes.
"""

from __future__ import annotations

import errno
import os

from claude_tasks.domain.errors import DatabaseGoneError

_BESIDE = ("-wal", "-shm")
"""SQLite removes these when the last connection closes, and at no other time."""

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Errors that mean that the file is gone for good."""


class DatabaseFile:
    """The identity of the file at a path.

    The file is not opened: closing it would drop its locks.
    """

    def __init__(self, path: str) -> None:
        """Remember which file it is. Errors: `DatabaseGoneError` when there is none."""
        self._path = path
        self._identity = self._look(path)
        self._beside: dict[str, tuple[int, int]] = {}

    def remember_beside(self) -> None:
        """Remember log and index. Call it during a transaction: then they are the ones in use."""
        if not self._beside:
            paths = [self._path + ending for ending in _BESIDE]
            if all(map(os.path.exists, paths)):
                self._beside = {path: self._look(path) for path in paths}

    def forget_beside(self) -> None:
        """Check log and index no more: the connection that uses them is closed."""
        self._beside = {}

    def require_same(self) -> None:
        """Errors: `DatabaseGoneError` when a file was removed, or another took its place.

        A file that cannot be looked at just now counts as the same.
        """
        for path, was in ((self._path, self._identity), *self._beside.items()):
            try:
                found = self._look(path)
            except OSError:
                continue
            if found != was:
                what = "another database" if path == self._path else "another file"
                text = f"{path}: {what} has taken the place of the one in use"
                raise DatabaseGoneError(text, hint=_HINT)

    @staticmethod
    def _look(path: str) -> tuple[int, int]:
        try:
            status = os.stat(path)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            text = f"{path}: the database was removed while it was in use"
            raise DatabaseGoneError(text, hint=_HINT) from None
        return status.st_dev, status.st_ino


_HINT = (
    "nothing more is started, what runs goes on under its supervisors; start again once the"
    " right database is in its place"
)
