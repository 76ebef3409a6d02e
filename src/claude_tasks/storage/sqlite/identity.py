"""Whether the file behind a path is still the one that was opened: device and inode, by stat alone.

A node would go on writing into a database that was renamed or removed, and start what nobody sees;
beside one that was put in its place, each tick would fire twice, and an end recorded in the old one
would take the folder with it that tells the new one of it.
"""

from __future__ import annotations

import os

from claude_tasks.domain.errors import DatabaseGoneError


class DatabaseFile:
    """The file at a path, as it stands when this is made. Opening it here would cost its locks."""

    def __init__(self, path: str) -> None:
        """Remember which file it is. Errors: `DatabaseGoneError` when there is none."""
        self._path = path
        self._identity = self._look()

    def require_same(self) -> None:
        """Errors: `DatabaseGoneError` when the file was removed, or another took its place.

        One that cannot be looked at just now has not been shown to be another.
        """
        try:
            found = self._look()
        except OSError:
            return
        if found != self._identity:
            raise DatabaseGoneError(
                f"{self._path}: another database has taken the place of the one in use",
                hint=_HINT,
            )

    def _look(self) -> tuple[int, int]:
        try:
            status = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            raise DatabaseGoneError(
                f"{self._path}: the database was removed while it was in use", hint=_HINT
            ) from None
        return status.st_dev, status.st_ino


_HINT = (
    "nothing more is started, what runs goes on under its supervisors; start again once the"
    " right database is in its place"
)
