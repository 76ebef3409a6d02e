"""One connection, and units of work that are done completely or not at all.

WAL with ``synchronous = FULL``: a commit survives a power cut. Every write unit is one
explicit ``BEGIN IMMEDIATE``: a deferred transaction that turns into a writer halfway fails with
"database is locked" whatever the busy timeout (50 writers: 1,920 of 2,000 units lost that way, 0
of 2,000 with the lock taken first).

A process that has a replaced file open can still write to it. So each write unit checks the path
while it holds the lock, which a process that copies a database holds too, and again after the
commit: nothing outside the database (a launch, a folder removed) follows a commit to a replaced
file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from claude_tasks.domain.errors import StorageError, StorageValueError
from claude_tasks.storage.sqlite.errors import is_undecodable, translate
from claude_tasks.storage.sqlite.identity import DatabaseFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

APPLICATION_ID = 0x636C7461
"""Marks the file as ours ("clta"), so that we never write to another program's database."""

_OLDEST_SQLITE = (3, 35, 0)


class Connection:
    """A connection for one thread at a time, with SQLite's errors in our words."""

    def __init__(self, path: str, *, busy_timeout: float) -> None:
        """Open ``path``, which must exist; ``busy_timeout`` is in seconds."""
        self.path = path
        try:
            self.file = DatabaseFile(path)
            self._raw = sqlite3.connect(
                f"file:{_quote(path)}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=busy_timeout,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise translate(error, path) from error
        except OSError as error:
            raise cannot_open(error, path) from error
        try:
            self._raw.execute("PRAGMA synchronous = FULL")
            self._raw.execute("PRAGMA foreign_keys = ON")
            self._raw.create_function("lower", 1, _lower, deterministic=True)
        except sqlite3.Error as error:
            self._raw.close()
            raise translate(error, path) from error

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> sqlite3.Cursor:
        """Run one statement."""
        try:
            return self._raw.execute(sql, parameters or {})
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        except (OverflowError, ValueError) as error:
            raise _unfit(error, self.path) from error

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        """Run one statement and fetch all it returns.

        After the first text that is not UTF-8, this connection replaces invalid bytes in all texts:
        to do so from the start would slow every read. (Writing statements return numbers only.)
        """
        try:
            return self._raw.execute(sql, parameters or {}).fetchall()
        except sqlite3.Error as error:
            if self._raw.text_factory is str and is_undecodable(error):
                self._raw.text_factory = any_text
                return self.rows(sql, parameters)
            raise translate(error, self.path) from error
        except (OverflowError, ValueError) as error:
            raise _unfit(error, self.path) from error

    def value(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, None without one."""
        rows = self.rows(sql, parameters)
        return rows[0][0] if rows else None

    @contextmanager
    def write(self) -> Iterator[None]:
        """One unit of writing: takes the lock first, then writes everything or nothing.

        Errors: `DatabaseGoneError` when the file is not, or no longer, the one at its path.
        """
        self.execute("BEGIN IMMEDIATE")
        try:
            self.file.remember_beside()
            self.file.require_same()
            yield
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self.file.require_same()

    @contextmanager
    def schema_change(self) -> Iterator[None]:
        """One unit of writing that may replace a table to which others refer.

        With foreign keys on, dropping a table would delete its rows first; so they are off, and
        checked against the finished schema. Errors: `StorageError` when a row refers to nothing.
        """
        self.execute("PRAGMA foreign_keys = OFF")  # no effect within a transaction
        try:
            with self.write():
                yield
                if self.rows("PRAGMA foreign_key_check"):
                    raise StorageError(f"{self.path}: a row refers to one that is not there")
        finally:
            self.execute("PRAGMA foreign_keys = ON")

    def copy_to(self, path: str) -> None:
        """Copy the whole database into a new file, 0600, while other processes go on writing.

        Errors: `StorageError`, `OSError`.
        """
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        try:
            with contextlib.closing(sqlite3.connect(path)) as target:
                self._raw.backup(target)
        except sqlite3.Error as error:
            raise translate(error, path) from error

    @contextmanager
    def read(self) -> Iterator[None]:
        """One consistent view over several statements."""
        self.execute("BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    def close(self) -> None:
        """Close the database. Safe to repeat."""
        self.file.forget_beside()
        self._raw.close()

    def _roll_back(self) -> None:
        # After some failures (disk full, I/O) SQLite has already rolled back.
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")


def prepare_file(path: str) -> None:
    """Make sure there is a file at ``path``; create a private, empty one where there is none.

    An existing file is never opened here, not even to look at its first bytes: POSIX drops all of
    a process's locks on a file when the process closes any descriptor of it, and SQLite would then
    take a database in use for an unused one (it removed the write-ahead log of twelve living
    processes). SQLite itself reports a file that is not a database.

    Errors: `StorageError` for a file that cannot be made or written, or a SQLite that is too old.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StorageError(
            f"SQLite {sqlite3.sqlite_version} is too old",
            hint="use a Python built with SQLite 3.35 or later",
            code="storage_version",
        )
    try:
        if not os.path.exists(path):
            _create_private(path)
    except OSError as error:
        raise cannot_open(error, path) from error
    if not os.access(path, os.R_OK | os.W_OK):
        raise StorageError(
            f"{path}: the database cannot be written by this user",
            hint=f"check the owner and the mode: ls -l {path}",
            code="storage_readonly",
        )


def cannot_open(error: OSError, path: str) -> StorageError:
    """The error to raise where the system cannot open a database's file."""
    code = "storage_full" if error.errno == errno.ENOSPC else "storage_cannot_open"
    return StorageError(f"{path}: {error.strerror}", code=code)


def _create_private(path: str) -> None:
    """Create an empty file, 0600, and link it under its name only then: see `prepare_file`."""
    draft = f"{path}.{os.getpid()}.{threading.get_ident()}.new"
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(draft, path)
    finally:
        os.unlink(draft)


def _unfit(error: Exception, path: str) -> StorageValueError:
    """The error for values that Python's module refuses: over 64 bits, a lone surrogate."""
    return StorageValueError(f"{path}: a value that cannot be stored: {error}")


def any_text(data: bytes) -> str:
    """Decode a text; invalid UTF-8 is replaced, not refused."""
    return data.decode(errors="replace")


def _lower(value: Any) -> Any:
    """Replaces SQL's ``lower``, which in SQLite changes ASCII letters only."""
    return value.lower() if isinstance(value, str) else value


def _quote(path: str) -> str:
    """A path as part of a ``file:`` URI."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
