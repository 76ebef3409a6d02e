"""One connection, and units of work that are whole or not at all.

WAL with ``synchronous = FULL``: what was committed survives a power cut. Every write unit is one
explicit ``BEGIN IMMEDIATE``: a deferred transaction that turns into a writer halfway fails with
"database is locked" whatever the busy timeout (50 writers: 1,920 of 2,000 units lost that way, 0
of 2,000 with the lock taken first).

A file that was exchanged takes writes like any other, from whoever still has it open. So the path
is looked at with the lock in hand, which whoever copies a database holds as well, and once more
after the commit: what follows one outside the database (a launch, a folder removed) never follows
one that nobody will read.
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
"""Marks the file as ours ("clta"), so that nobody else's database is ever written to."""

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

        Where a text is no UTF-8, this connection replaces what is not, from then on: to do so for
        each text costs what nobody needs. (What a writing statement returns are numbers.)
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
        """One unit of writing: the lock first, then all of it or nothing.

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
        """One unit of writing that may make a table anew, under the name that others refer to.

        With foreign keys on, dropping a table deletes its rows first; so they are held against
        the finished schema instead. Errors: `StorageError` when a row refers to nothing.
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
        """Copy the whole database into a new file, 0600, while others go on writing.

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
        """Let the file go. Safe to repeat."""
        self.file.forget_beside()
        self._raw.close()

    def _roll_back(self) -> None:
        # After some failures (disk full, I/O) SQLite has rolled back by itself already.
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")


def prepare_file(path: str) -> None:
    """Make sure there is a file at ``path``: a private, empty one where there was none.

    An existing file is never opened here, not even to look at its first bytes: POSIX drops all of
    a process's locks on a file when the process closes any descriptor of it, and SQLite would then
    take a database in use for one that is not (it removed the write-ahead log under twelve living
    processes). SQLite itself says when a file is no database.

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
    """What the system says of a database's file, in our words."""
    code = "storage_full" if error.errno == errno.ENOSPC else "storage_cannot_open"
    return StorageError(f"{path}: {error.strerror}", code=code)


def _create_private(path: str) -> None:
    """An empty file, 0600, complete before it has its name: see `prepare_file` on closing."""
    draft = f"{path}.{os.getpid()}.{threading.get_ident()}.new"
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(draft, path)
    finally:
        os.unlink(draft)


def _unfit(error: Exception, path: str) -> StorageValueError:
    """A number beyond 64 bits, half a character: Python's own refusals, in our words."""
    return StorageValueError(f"{path}: a value that cannot be stored: {error}")


def any_text(data: bytes) -> str:
    """Bytes that are no UTF-8 are shown, not refused."""
    return data.decode(errors="replace")


def _lower(value: Any) -> Any:
    """SQL's ``lower``, which in SQLite knows no letters but ASCII's."""
    return value.lower() if isinstance(value, str) else value


def _quote(path: str) -> str:
    """A path as part of a ``file:`` URI."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
