"""The store: every table class on one connection, for one thread at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.storage.sqlite.connection import Connection, prepare_file
from claude_tasks.storage.sqlite.migrate import bring_up_to_date
from claude_tasks.storage.sqlite.write_lock import write_lock_holder
from claude_tasks.storage.tables.clock import ClockTable
from claude_tasks.storage.tables.leadership import ChangeTable, LeaseTable, NodeTable
from claude_tasks.storage.tables.notifications import NotificationTable
from claude_tasks.storage.tables.runs import RunTable
from claude_tasks.storage.tables.settings import SettingsTable
from claude_tasks.storage.tables.tasks import TaskTable
from claude_tasks.storage.tables.ticks import TickTable
from claude_tasks.storage.tables.usage import UsageTable

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Store

DEFAULT_BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's write."""


class SqliteStore(
    TaskTable,
    RunTable,
    TickTable,
    LeaseTable,
    NodeTable,
    SettingsTable,
    UsageTable,
    NotificationTable,
    ClockTable,
    ChangeTable,
):
    """`claude_tasks.domain.ports.Store` in SQLite: all table classes and SQLite's own part."""

    _seen_version: int | None = None

    def __init__(self, connection: Connection) -> None:
        """Work on this connection, which one thread uses at a time."""
        super().__init__(connection)
        self._file = connection

    def changed(self) -> bool:
        """Whether another connection committed since the last call.

        ``PRAGMA data_version`` reads shared memory: no disk, a few microseconds.
        """
        version = self._file.value("PRAGMA data_version")
        moved = bool(version != self._seen_version)
        self._seen_version = version
        return moved

    def writer(self) -> int | None:
        """The process that holds the write lock."""
        return write_lock_holder(self._file.path)

    def require_same(self) -> None:
        """Check that the file at the path is the one that was opened."""
        self._file.file.require_same()

    def close(self) -> None:
        """Close the database."""
        self._file.close()


def open_store(path: str, *, at: int, busy_timeout: float = DEFAULT_BUSY_TIMEOUT) -> Store:
    """Open the database at ``path``, created and migrated as needed.

    Errors: `StorageError` with a code of its own for each way a file can be unusable; an unusable
    file is never written to.
    """
    prepare_file(path)
    connection = Connection(path, busy_timeout=busy_timeout)
    try:
        bring_up_to_date(connection, at=at)
    except BaseException:
        connection.close()
        raise
    return SqliteStore(connection)
