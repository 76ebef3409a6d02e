"""The change counter: data that was read is current as long as it has not changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_tasks.domain.ports import ChangeFeed
    from claude_tasks.domain.store_records import Change


class ChangeCounter:
    """The newest entry of the change feed, at the price of a look into shared memory.

    Belongs to the event loop, on a connection that nothing else uses: a commit of any other, also
    of this process, moves SQLite's data version there. Renewals of the lease move it too, but
    write no entry.
    """

    def __init__(self, feed: ChangeFeed) -> None:
        """Nothing is known yet."""
        self._feed = feed
        self._value = -1

    def value(self) -> int:
        """The counter now. Errors: `StorageError`."""
        if self._feed.changed() or self._value < 0:
            self._value = -1  # should the next line fail, the next look starts anew
            self._value = self._feed.last_change()
        return self._value

    def since(self, seq: int, *, limit: int) -> list[Change]:
        """The entries after ``seq``, oldest first. Errors: `StorageError`."""
        return self._feed.changes_since(seq, limit=limit)
