"""The broadcast: one task reads the change feed for all listeners.

It begins with the first listener and ends with the last. A listener that does not keep up is told
to start again (`None` in its queue): it can read from the feed what it missed.

The places of all streams are counted here, also of those that follow one run's file.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claude_tasks.api.change_counter import ChangeCounter
    from claude_tasks.domain.store_records import Change

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
MOST_STREAMS = 200
_MOST_WAITING = 1000
_BATCH = 1000

Mailbox = asyncio.Queue["Change | None"]


class Places:
    """Limits the number of streams. Used only on the event loop."""

    def __init__(self, most: int) -> None:
        """All of them are free."""
        self._free = most

    @property
    def are_taken(self) -> bool:
        """Whether there is none left."""
        return self._free <= 0

    @contextlib.contextmanager
    def take(self) -> Iterator[bool]:
        """Hold a place; False where there was none."""
        taken = not self.are_taken
        self._free -= taken
        try:
            yield taken
        finally:
            self._free += taken


class ChangeBroadcast:
    """Used on the event loop alone. ``places`` are those of all streams."""

    def __init__(self, counter: ChangeCounter) -> None:
        """Begin without listeners."""
        self.places = Places(MOST_STREAMS)
        self._counter = counter
        self._mailboxes: set[Mailbox] = set()
        self._task: asyncio.Task[None] | None = None
        self._seen = -1
        self._blind = False

    @contextlib.contextmanager
    def listen(self) -> Iterator[Mailbox]:
        """A mailbox that gets every change from now on; None means: no more, start again."""
        mailbox: Mailbox = asyncio.Queue(_MOST_WAITING)
        if self._task is None:  # it may outlast those it dismissed until they notice
            self._seen = self._counter.value()
            self._task = asyncio.create_task(self._watch())
        self._mailboxes.add(mailbox)
        try:
            yield mailbox
        finally:
            self._mailboxes.discard(mailbox)
            if not self._mailboxes and self._task is not None:
                self._task.cancel()
                self._task = None

    def close(self) -> None:
        """Send all listeners away."""
        for mailbox in list(self._mailboxes):
            self._dismiss(mailbox)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                self._look()
            except StorageError as error:
                if not self._blind:  # ten times a second would fill the log
                    log.warning("the change feed cannot be read just now: %s", error)
                self._blind = True
            else:
                self._blind = False

    def _look(self) -> None:
        if self._counter.value() == self._seen:
            return
        while changes := self._counter.since(self._seen, limit=_BATCH):
            self._seen = changes[-1].seq
            for mailbox in list(self._mailboxes):
                self._deliver(mailbox, changes)

    def _deliver(self, mailbox: Mailbox, changes: list[Change]) -> None:
        if mailbox.qsize() + len(changes) >= _MOST_WAITING:
            self._dismiss(mailbox)
            return
        for change in changes:
            mailbox.put_nowait(change)

    def _dismiss(self, mailbox: Mailbox) -> None:
        self._mailboxes.discard(mailbox)
        while not mailbox.empty():
            mailbox.get_nowait()
        mailbox.put_nowait(None)
