"""One connection, and units of work that are whole or not at all.

WAL with ``synchronous = FULL``: what was committed survives a power cut. Every write unit is one
explicit ``BEGIN IMMEDIATE``: a deferred transaction that turns into a writer halfway fails with
"database is locked" whatever the busy timeout (50 writers: 1,920 of 2,000 units lost that way, 0
of 2,000 with the lock taken first).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from claude_tasks.domain.errors import StorageError
from claude_tasks.storage.sqlite.errors import translate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

APPLICATION_ID = 0x636C7461
"""Marks the file as ours ("clta"), so that nobody else's database is ever written to."""

_SQLITE_MAGIC = b"SQLite format 3\x00"
_OLDEST_SQLITE = (3, 35, 0)


class Connection:
    """A connection for one thread at a time, with SQLite's errors in our words."""

    def __init__(self, path: str, *, busy_timeout: float) -> None:
        """Open ``path``, which must exist; ``busy_timeout`` is in seconds."""
        self.path = path
        try:
            self._raw = sqlite3.connect(
                f"file:{_quote(path)}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=busy_timeout,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise translate(error, path) from error
        try:
            self._raw.execute("PRAGMA synchronous = FULL")
            self._raw.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error as error:
            self._raw.close()
            raise translate(error, path) from error

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> sqlite3.Cursor:
        """Run one statement."""
        try:
            return self._raw.execute(sql, parameters or {})
        except sqlite3.Error as error:
            raise translate(error, self.path) from error

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        """Run one statement and fetch all it returns."""
        try:
            return self._raw.execute(sql, parameters or {}).fetchall()
        except sqlite3.Error as error:
            raise translate(error, self.path) from error

    def value(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, None without one."""
        rows = self.rows(sql, parameters)
        return rows[0][0] if rows else None

    @contextmanager
    def write(self) -> Iterator[None]:
        """One unit of writing: the lock first, then all of it or nothing."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def read(self) -> Iterator[None]:
        """One consistent view over several statements."""
        self.execute("BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    def close(self) -> None:
        """Let the file go. Safe to repeat."""
        self._raw.close()

    def _roll_back(self) -> None:
        # After some failures (disk full, I/O) SQLite has rolled back by itself already.
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")


def prepare_file(path: str) -> None:
    """Make sure ``path`` is a file of ours or a new, empty, private one. Never overwrites.

    Errors: `StorageError` for a file that is not a SQLite database, a network file system, or a
    SQLite library that is too old.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StorageError(
            f"SQLite {sqlite3.sqlite_version} is too old",
            hint="use a Python built with SQLite 3.35 or later",
            code="storage_version",
        )
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with open(path, "rb") as file:
            head = file.read(len(_SQLITE_MAGIC))
    except PermissionError as error:
        raise StorageError(
            f"{path}: {error.strerror}",
            hint=f"make it yours: chown {os.getuid()} {path}",
            code="storage_readonly",
        ) from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}", code="storage_cannot_open") from error
    if head and head != _SQLITE_MAGIC:
        raise StorageError(
            f"{path}: the file is not a SQLite database",
            hint="it is never overwritten: move it, or set CLAUDE_TASKS_DATA to another folder",
            code="storage_corrupt",
        )


def _quote(path: str) -> str:
    """A path as part of a ``file:`` URI."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
