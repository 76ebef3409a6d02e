"""What the rooms of the store share: the connection, statements by name, the change feed's pen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.storage.named_sql import load

if TYPE_CHECKING:
    from claude_tasks.storage.sqlite.connection import Connection

_TRIM_EVERY = 1000


class Tables:
    """The base of every room: it holds the one connection."""

    def __init__(self, connection: Connection) -> None:
        """Work on this connection, which one thread uses at a time."""
        self._connection = connection

    def _note(self, topic: str, ref: object, at: int) -> None:
        """One entry of the change feed; call it inside the transaction that made the change."""
        sql = load("changes")
        cursor = self._connection.execute(
            sql["note_change"], {"topic": topic, "ref": str(ref), "at": at}
        )
        if (cursor.lastrowid or 0) % _TRIM_EVERY == 0:
            self._connection.execute(sql["trim_changes"])
