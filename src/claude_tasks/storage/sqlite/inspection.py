"""Reads a database without changing a byte or making a file, in any state of the database.

``mode=ro`` alone is not enough: in WAL mode even a reader creates missing ``-wal`` and ``-shm``
files, leaves them behind, and marks in ``-shm`` how far it reads. So the state decides:

    -wal and -shm are there    mode=ro, readonly_shm=1   commits in the log are read; where the
                                                         last writer was killed, SQLite builds its
                                                         index of the log in memory
    neither, or an empty log   immutable=1               the file alone is the truth
    a log without its index,   immutable=1               only the file is read: ``unseen`` says why
    one that is none, or one
    that SQLite, run by root,
    would give to another
    no WAL at all              mode=ro                   locks as any reader takes them, which
                                                         leave nothing; a transaction cut short
                                                         (``storage_unfinished``) is not undone

An immutable connection takes no locks, and closing it drops the locks of this process's other
connections to the file (POSIX): so it is used only where this process has no other. If another
process opens the database meanwhile, `inspect` notices the log that appeared, and reads again. If
the last process closes it in the microseconds between the look at the files and the open, SQLite
makes an empty log, which the next writer takes over.

Run by root, SQLite sets the owner of log, index and journal to the database's owner: that changes
their ctime. Where their owner is another, they are not opened.

Whether it can be written is not tried: even an empty ``BEGIN IMMEDIATE``, rolled back, marks
``-shm``.

Rows are read one by one: an unreadable one is named and does not hide the others.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from claude_tasks.domain.errors import IllegibleError, StorageError
from claude_tasks.storage.named_sql import load
from claude_tasks.storage.records import (
    lease_from_row,
    node_from_row,
    run_from_row,
    task_from_row,
    told_apart,
)
from claude_tasks.storage.sqlite.connection import (
    APPLICATION_ID,
    Connection,
    _quote,
    any_text,
    cannot_open,
)
from claude_tasks.storage.sqlite.errors import translate
from claude_tasks.storage.sqlite.file_state import (
    holds_something,
    is_log,
    is_open_here,
    is_wal,
    would_change_owner,
)
from claude_tasks.storage.sqlite.migrate import NEWEST
from claude_tasks.storage.sqlite.store import SqliteStore
from claude_tasks.storage.tables.leadership import missing_lease
from claude_tasks.storage.tables.run_filter import conditions
from claude_tasks.storage.tables.run_filter import select as select_run
from claude_tasks.storage.tables.tasks import select as select_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.lease import Lease
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import RunFilter
    from claude_tasks.domain.task import Task

_Seen = TypeVar("_Seen")

_BUSY_SECONDS = 2.0
_TRIES = 3
_THOROUGH_BYTES = 256 * 1024 * 1024
"""Up to this size every index is checked against its table: about a second where cached."""
_ROLLBACK = sqlite3.SQLITE_READONLY_ROLLBACK

_SHARED = "mode=ro&readonly_shm=1"
_ALONE = "mode=ro&immutable=1"
_LOCKING = "mode=ro"


class _Way(NamedTuple):
    """How a database is opened: the URI's parameters, its journal mode, why commits are unseen."""

    how: str
    journal_mode: str
    unseen: str | None = None


def _way_for(path: str) -> _Way:
    """The way to open it that its files allow. Errors: `OSError`, `StorageError`."""
    if not os.path.isfile(path):  # opening a pipe would block
        raise StorageError(f"{path}: no file", code="storage_cannot_open")
    log = f"{path}-wal"
    has_log = holds_something(log)
    if os.path.exists(f"{path}-shm") and os.path.exists(log):
        unseen = _why_unseen(path)
        return _Way(_SHARED, "wal") if unseen is None else _Way(_ALONE, "wal", unseen)
    if is_open_here(path):
        return _Way(_LOCKING, "delete")
    if not is_wal(path):
        if would_change_owner(path):
            raise _unfinished(path)
        return _Way(_LOCKING, "delete")
    return _Way(_ALONE, "wal", "its log lacks its index" if has_log else None)


def _why_unseen(path: str) -> str | None:
    """Why a log that is in use cannot be read too; None where it can."""
    if is_open_here(path):  # the other connection already made the files
        return None
    if not is_log(f"{path}-wal"):
        return "its log does not begin as one does"
    if would_change_owner(path):
        return "its log is another user's, and root would take it from them"
    return None


class TracelessConnection(Connection):
    """A connection that only reads. Errors as those of `Connection`."""

    def __init__(self, path: str) -> None:
        """Open ``path``, which must exist, in the way that its files allow."""
        self.path = path
        try:
            self.way = _way_for(path)
            self._raw = sqlite3.connect(
                f"file:{_quote(path)}?{self.way.how}",
                uri=True,
                isolation_level=None,
                timeout=_BUSY_SECONDS,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise translate(error, path) from error
        except OSError as error:
            raise cannot_open(error, path) from error
        self._raw.text_factory = any_text

    def close(self) -> None:
        """Close the database. Safe to repeat."""
        self._raw.close()

    def was_overtaken(self) -> bool:
        """Whether the files changed their state since the open: the reads may be inconsistent."""
        if self.way.how != _ALONE or self.way.unseen is not None:
            return False
        return holds_something(f"{self.path}-wal")

    def has_vanished(self) -> bool:
        """Whether the last process closed the database just now, which removed the log."""
        return self.way.how == _SHARED and not os.path.exists(f"{self.path}-shm")


class Inspection(SqliteStore):
    """The store, read-only, with the reads that only a diagnosis needs."""

    _connection: TracelessConnection
    newest_schema = NEWEST

    @property
    def unseen(self) -> str | None:
        """Why the newest commits are not seen, None where all are."""
        return self._connection.way.unseen

    @property
    def is_large(self) -> bool:
        """Whether `damage` checks pages only, and not indexes against their tables."""
        return os.path.getsize(self._connection.path) > _THOROUGH_BYTES

    def damage(self, *, most: int = 5) -> list[str]:
        """SQLite's complaints; none for a sound database. Meaningless where commits are unseen.

        ``quick_check`` does not find rows missing in indexes, so it is used for large ones only.
        """
        check = "quick_check" if self.is_large else "integrity_check"
        try:
            rows = self._connection.rows(f"PRAGMA {check}({most})")
        except StorageError as error:
            if _code_of(error) & 0xFF != sqlite3.SQLITE_CORRUPT:
                raise
            return [str(error.__cause__)]  # too damaged to be checked
        return [str(row[0]) for row in rows if row[0] != "ok"]

    def journal_mode(self) -> str:
        """``wal`` as it should be, or what it is instead."""
        if self._connection.way.how == _ALONE:  # such a connection calls every mode ``delete``
            return self._connection.way.journal_mode
        return str(self._connection.value("PRAGMA journal_mode"))

    def schema(self) -> int:
        """The schema's number, 0 for an empty file. Errors: `StorageError` for a foreign one."""
        if self._connection.value("PRAGMA application_id") == APPLICATION_ID:
            version = self._connection.value("SELECT MAX(version) FROM schema_migrations")
            if not isinstance(version, int):
                text = "its list of migrations says nothing: nobody knows what it holds"
                raise StorageError(f"{self._connection.path}: {text}", code="storage_unknown")
            return version
        if self._connection.value("SELECT COUNT(*) FROM sqlite_master"):
            raise StorageError(
                f"{self._connection.path}: a database, but not one of this program's",
                hint="it is left as it is: set CLAUDE_TASKS_DATA to another folder",
                code="storage_foreign",
            )
        return 0

    def legible_lease(self) -> tuple[Lease | None, list[IllegibleError]]:
        """The lease, and what is wrong with its row."""
        rows = self._connection.rows(load("lease")["read_lease"])
        leases, illegible = told_apart("lease", rows, lease_from_row)
        if not rows:
            illegible = [missing_lease()]
        return (leases[0] if leases else None), illegible

    def legible_nodes(self) -> tuple[list[Node], list[IllegibleError]]:
        """Registered nodes, and rows that cannot be read."""
        rows = self._connection.rows(load("nodes")["list_nodes"])
        return told_apart("node", rows, node_from_row)

    def legible_tasks(self) -> tuple[list[Task], list[IllegibleError]]:
        """Tasks that are not deleted, and rows that cannot be read."""
        sql = select_task(load("tasks")["list_tasks"])
        rows = self._connection.rows(sql, {"include_deleted": 0, "limit": -1})
        return told_apart("task", rows, task_from_row)

    def legible_runs(self, wanted: RunFilter) -> tuple[list[Run], list[IllegibleError]]:
        """Runs, newest first, and rows that cannot be read."""
        condition, parameters = conditions(wanted)
        sql = select_run("list_runs").replace("{conditions}", condition)
        rows = self._connection.rows(sql, {**parameters, "limit": wanted.limit})
        rows += self._connection.rows(select_run("in_no_state"), {"limit": wanted.limit})
        return told_apart("run", rows, run_from_row)

    def failing_always(self, *, last: int) -> list[tuple[int, str]]:
        """Enabled tasks (id, name) whose last so many runs all failed."""
        rows = self._connection.rows(load("doctor")["failing_always"], {"last": last})
        return [(row[0], row[1]) for row in rows]

    def lost_since(self, at: int) -> list[tuple[int, str]]:
        """Lost runs (id, task's name), newest first."""
        rows = self._connection.rows(load("doctor")["lost_since"], {"since": at})
        return [(row[0], row[1]) for row in rows]

    def has_moved(self) -> bool:
        """Whether the files changed their state meanwhile: then the look must be repeated."""
        return self._connection.was_overtaken() or self._connection.has_vanished()


def inspect(path: str, look: Callable[[Inspection], _Seen]) -> _Seen:
    """What ``look`` returns for the database at ``path``, on a separate connection.

    Errors: `StorageError`, with the codes of `claude_tasks.storage.sqlite.errors`, and
    ``storage_unfinished``.
    """
    for _ in range(_TRIES):
        again, seen = _try(path, look)
        if not again:
            break
    if isinstance(seen, StorageError):
        raise seen
    return seen


def _try(path: str, look: Callable[[Inspection], _Seen]) -> tuple[bool, _Seen | StorageError]:
    """One look: whether another is needed, and its result."""
    try:
        connection = TracelessConnection(path)
    except StorageError as error:
        return True, error
    inspection = Inspection(connection)
    try:
        seen: _Seen | StorageError = look(inspection)
    except StorageError as error:
        return inspection.has_moved(), _named(error, path)
    finally:
        inspection.close()
    return connection.was_overtaken(), seen


def _named(error: StorageError, path: str) -> StorageError:
    """The error, or a clearer one where a rollback journal must be played back first."""
    if _code_of(error) != _ROLLBACK:
        return error
    return _unfinished(path)


def _unfinished(path: str) -> StorageError:
    return StorageError(
        f"{path}: a writer was cut short, and what it left half done has to be undone first",
        code="storage_unfinished",
    )


def _code_of(error: StorageError) -> int:
    """SQLite's extended code, 0 where it was not SQLite."""
    return int(getattr(error.__cause__, "sqlite_errorcode", 0))
