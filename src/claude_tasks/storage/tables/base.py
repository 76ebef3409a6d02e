"""What the store's table classes share: the connection, and writing to the change feed.

A database passes its `Connection` and adds what is specific to it: see `storage/sqlite/store.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.storage.named_sql import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from typing import Any, Protocol

    class Cursor(Protocol):
        """The result of a statement: how many rows it wrote, the id of the last one inserted."""

        @property
        def rowcount(self) -> int: ...

        @property
        def lastrowid(self) -> int | None: ...

    class Connection(Protocol):
        """One connection to the database, for one thread at a time. Errors: `StorageError`.

        Parameters are named, ``:name`` in the statement.
        """

        def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Cursor:
            """Run one statement."""
            ...

        def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
            """Run one statement and fetch all it returns."""
            ...

        def value(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
            """The first column of the first row, None without one."""
            ...

        def write(self) -> AbstractContextManager[None]:
            """One unit of writing: everything or nothing, with no other writer meanwhile."""
            ...

        def read(self) -> AbstractContextManager[None]:
            """One consistent view over several statements."""
            ...


_TRIM_EVERY = 1000


class Tables:
    """The base of every table class: it holds the connection."""

    def __init__(self, connection: Connection) -> None:
        """Work on this connection, which one thread uses at a time."""
        self._connection = connection

    def _note(self, topic: str, ref: object, at: int) -> None:
        """Add an entry to the change feed; call it inside the transaction of the change."""
        sql = load("changes")
        cursor = self._connection.execute(
            sql["note_change"], {"topic": topic, "ref": str(ref), "at": at}
        )
        if (cursor.lastrowid or 0) % _TRIM_EVERY == 0:
            self._connection.execute(sql["trim_changes"])
