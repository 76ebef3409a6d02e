"""Attempts under way: each on its own thread, one per address, a few in all.

A channel that hangs blocks only its own thread, which ends with the process.
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
    """One thread begins and collects the attempts."""

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
        """Start an attempt on a thread. Raises nothing."""

        def fly() -> None:
            self._landed.put((due, attempt()))
            self._news.set()

        self._addresses.add(_address(due))
        threading.Thread(target=fly, name=f"message-{due.id}", daemon=True).start()

    def collect(self) -> list[tuple[DueDelivery, Delivery]]:
        """The results of the attempts that ended since the last call."""
        self._news.clear()
        landed = []
        while not self._landed.empty():
            landed.append(self._landed.get_nowait())
        self._addresses -= {_address(due) for due, _ in landed}
        return landed

    def wait(self, seconds: float) -> None:
        """Wait until an attempt ends or `wake` is called, at most ``seconds``."""
        self._news.wait(seconds)

    def wake(self) -> None:
        """End a `wait`. For any thread."""
        self._news.set()


def _address(due: DueDelivery) -> tuple[str, str]:
    return due.channel, due.target
