"""A look at a database that leaves no trace: not a byte, not a file, in whatever state it is.

``mode=ro`` alone does not do: in WAL mode even a reader makes ``-wal`` and ``-shm`` where they are
missing, leaves them behind, and marks in ``-shm`` how far it reads. So the state decides:

    -wal and -shm are there    mode=ro, readonly_shm=1   commits in the log are read; where the
                                                         last writer was killed, SQLite builds its
                                                         index of the log in memory
    neither, or an empty log   immutable=1               the file alone is the truth
    a log without its index    immutable=1               only the file is read: ``complete`` says so

An immutable connection takes no locks, and closing it drops those that this process has on the
file by other connections (POSIX): it is used only where the index is missing, so where no
connection is open anywhere. Somebody may open the database meanwhile; `inspect` notices by the log
that appeared, and looks again. In the microseconds between the look at the files and the open, the
last process may leave: then SQLite makes an empty log, which the next writer takes over.

Whether it could be written is not tried: an empty ``BEGIN IMMEDIATE`` rolled back marks ``-shm``.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, TypeVar

from claude_tasks.domain.errors import StorageError
from claude_tasks.storage.named_sql import load
from claude_tasks.storage.sqlite.connection import APPLICATION_ID, Connection, _quote
from claude_tasks.storage.sqlite.errors import translate
from claude_tasks.storage.sqlite.migrate import NEWEST
from claude_tasks.storage.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

_Seen = TypeVar("_Seen")

_BUSY_SECONDS = 2.0
_TRIES = 3
_COPY_LIMIT = 64 * 1024 * 1024
_WAL_FORMAT = b"\x02\x02"
"""Bytes 18 and 19 of the file: its write and read versions (SQLite's file format, 1.3.3)."""


class TracelessConnection(Connection):
    """A connection that only reads. Errors as those of `Connection`."""

    def __init__(self, path: str) -> None:
        """Open ``path``, which must exist, in the way that its files ask for."""
        self.path = path
        self.shared = os.path.exists(f"{path}-shm") and os.path.exists(f"{path}-wal")
        self.complete = self.shared or not _holds_something(f"{path}-wal")
        how = "mode=ro&readonly_shm=1" if self.shared else "mode=ro&immutable=1"
        try:
            self._raw = sqlite3.connect(
                f"file:{_quote(path)}?{how}",
                uri=True,
                isolation_level=None,
                timeout=_BUSY_SECONDS,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise translate(error, path) from error

    def was_overtaken(self) -> bool:
        """Whether the files changed their state since: what was seen may be half of a change."""
        log = f"{self.path}-wal"
        return not self.shared and self.complete and _holds_something(log)

    def header_mode(self) -> str | None:
        """The journal mode that the file itself names; None where it is too large to be asked.

        An immutable connection takes no log, and so calls every mode ``delete``.
        """
        if not hasattr(self._raw, "serialize") or os.path.getsize(self.path) > _COPY_LIMIT:
            return None
        return "wal" if self._raw.serialize()[18:20] == _WAL_FORMAT else "delete"


class Inspection(SqliteStore):
    """The store, for looking only, and what only a diagnosis asks for."""

    _connection: TracelessConnection
    newest_schema = NEWEST

    @property
    def complete(self) -> bool:
        """Whether all that was committed is seen."""
        return self._connection.complete

    def damage(self, *, most: int = 5) -> list[str]:
        """What ``quick_check`` complains of; empty for a whole database."""
        rows = self._connection.rows(f"PRAGMA quick_check({most})")
        return [str(row[0]) for row in rows if row[0] != "ok"]

    def journal_mode(self) -> str | None:
        """``wal`` as it should be; None where it cannot be told."""
        if not self._connection.shared:
            return self._connection.header_mode()
        return str(self._connection.value("PRAGMA journal_mode"))

    def schema(self) -> int:
        """The schema's number, 0 for an empty file. Errors: `StorageError` for a foreign one."""
        if self._connection.value("PRAGMA application_id") == APPLICATION_ID:
            return int(self._connection.value("SELECT MAX(version) FROM schema_migrations"))
        if self._connection.value("SELECT COUNT(*) FROM sqlite_master"):
            raise StorageError(
                f"{self._connection.path}: a database, but not one of this program's",
                hint="it is left as it is: set CLAUDE_TASKS_DATA to another folder",
                code="storage_foreign",
            )
        return 0

    def failing_always(self, *, last: int) -> list[tuple[int, str]]:
        """Enabled tasks (id, name) whose last so many runs all failed."""
        rows = self._connection.rows(load("doctor")["failing_always"], {"last": last})
        return [(row[0], row[1]) for row in rows]

    def lost_since(self, at: int) -> list[tuple[int, str]]:
        """Lost runs (id, task's name), newest first."""
        rows = self._connection.rows(load("doctor")["lost_since"], {"since": at})
        return [(row[0], row[1]) for row in rows]

    def was_overtaken(self) -> bool:
        """Whether somebody opened the database while it was looked at as one nobody has open."""
        return self._connection.was_overtaken()


def inspect(path: str, look: Callable[[Inspection], _Seen]) -> _Seen:
    """What ``look`` sees in the database at ``path``, on a connection of its own.

    Errors: `StorageError`, with the codes of `claude_tasks.storage.sqlite.errors`.
    """
    for _ in range(_TRIES):
        overtaken, seen = _try(path, look)
        if not overtaken:
            break
    if isinstance(seen, StorageError):
        raise seen
    return seen


def _try(path: str, look: Callable[[Inspection], _Seen]) -> tuple[bool, _Seen | StorageError]:
    """One look: whether another is needed, and what came of it."""
    try:
        connection = TracelessConnection(path)
    except StorageError as error:
        return True, error
    inspection = Inspection(connection)
    try:
        seen: _Seen | StorageError = look(inspection)
    except StorageError as error:
        # The last process left just now, and took the log with it.
        gone = connection.shared and not os.path.exists(f"{path}-shm")
        return gone or inspection.was_overtaken(), error
    finally:
        inspection.close()
    return inspection.was_overtaken(), seen


def _holds_something(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False
