"""Attempts under way: each on a thread of its own, one to an address, a few in all.

A channel that hangs holds its own thread and nobody else's; a process that ends leaves it behind.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.notification import DueDelivery
    from claude_tasks.notify.delivery import Delivery

MOST = 8


class Flights:
    """Begun and collected by one thread."""

    def __init__(self) -> None:
        """None is under way."""
        self._addresses: set[tuple[str, str]] = set()
        self._landed: queue.SimpleQueue[tuple[DueDelivery, Delivery]] = queue.SimpleQueue()
        self._news = threading.Event()

    @property
    def busy(self) -> bool:
        """Whether any is under way, or not collected yet."""
        return bool(self._addresses)

    def has_room_for(self, due: DueDelivery) -> bool:
        """Whether an attempt could begin now."""
        return len(self._addresses) < MOST and _address(due) not in self._addresses

    def begin(self, due: DueDelivery, attempt: Callable[[], Delivery]) -> None:
        """Make an attempt. It raises nothing."""

        def fly() -> None:
            self._landed.put((due, attempt()))
            self._news.set()

        self._addresses.add(_address(due))
        threading.Thread(target=fly, name=f"message-{due.id}", daemon=True).start()

    def collect(self) -> list[tuple[DueDelivery, Delivery]]:
        """What came of those that ended since the last call."""
        self._news.clear()
        landed = []
        while not self._landed.empty():
            landed.append(self._landed.get_nowait())
        self._addresses -= {_address(due) for due, _ in landed}
        return landed

    def wait(self, seconds: float) -> None:
        """Until one ended or somebody calls `wake`, at most so long."""
        self._news.wait(seconds)

    def wake(self) -> None:
        """End a `wait`. For any thread."""
        self._news.set()


def _address(due: DueDelivery) -> tuple[str, str]:
    return due.channel, due.target
