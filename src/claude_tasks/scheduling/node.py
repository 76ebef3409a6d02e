"""A node from start to stop: its lock, its row in the registry and its threads."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import DatabaseGoneError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.ports import NodeStore
    from claude_tasks.scheduling.engine import EngineThread
    from claude_tasks.scheduling.leadership import KeeperThread, Leadership
    from claude_tasks.scheduling.lifetime import LifetimeLock
    from claude_tasks.system.service_thread import ServiceThread

log = logging.getLogger(__name__)

_RESIGN_SECONDS = 1.25
_STOP_SECONDS = 1.5
"""With leaving the registry (0.5 s for a busy database) and writing the last output (1 s), stopping
takes less than the 4.5 s after which a process that was told to end is killed."""


class RunningNode:
    """The service: `start` reports failure, `stop` blocks until all is quiet, both repeatable."""

    def __init__(
        self,
        *,
        node: Node,
        store: NodeStore,
        leave: Callable[[], None],
        lock: LifetimeLock,
        engine: EngineThread,
        keeper: KeeperThread,
        side_threads: Sequence[ServiceThread],
        leadership: Leadership,
        close: Callable[[], None],
    ) -> None:
        """``keeper`` keeps beat and lease; ``side_threads`` ask about usage and send messages.

        ``leave`` removes the node from the registry without waiting long; ``close`` closes
        ``store``.
        """
        self.node = node
        self._store = store
        self._leave = leave
        self._lock = lock
        self._engine = engine
        self._keeper = keeper
        self._side_threads = side_threads
        self._leadership = leadership
        self._close = close
        self._started = False

    @property
    def term(self) -> Term | None:
        """The term in which this node leads now, None while it follows."""
        return self._leadership.term()

    @property
    def failure(self) -> BaseException | None:
        """The error that ended one of the node's threads; the process must then stop the node."""
        failures = (side.failure for side in self._side_threads)
        return (
            self._gone()
            or self._engine.failure
            or self._keeper.failure
            or next(filter(None, failures), None)
        )

    def _gone(self) -> DatabaseGoneError | None:
        """The error of a database that is gone, also while the engine waits for something."""
        try:
            self._store.require_same()
        except DatabaseGoneError as error:
            return error
        return None

    def start(self) -> None:
        """Take the lock, register, start the threads. Errors: `StorageError`, `OSError`."""
        if self._started:
            return
        self._lock.acquire()
        self._store.register_node(self.node)
        for side in self._side_threads:
            side.start()
        self._engine.start()
        self._keeper.start()
        self._started = True

    def wake(self) -> None:
        """Make the engine look at the queue now."""
        self._engine.wake()

    def stop(self) -> None:
        """Resign first, so that a follower takes over while this node stops."""
        if not self._started:
            return
        self._started = False
        left = _stop(self._keeper, within=_RESIGN_SECONDS)
        left += _stop(self._engine, *self._side_threads, within=_STOP_SECONDS)
        if left:
            log.warning("ending without waiting for %s", ", ".join(left))
        self._lock.release(tidy=self._leave_registry())
        self._close()

    def _leave_registry(self) -> bool:
        """Leave the registry; while the database is busy, the released lock alone shows the end."""
        if self._gone() is not None:
            return False
        try:
            self._leave()
        except (DatabaseGoneError, StorageError) as error:
            log.warning("could not leave the registry: %s", error)
            return False
        return True


def _stop(*services: ServiceThread, within: float) -> list[str]:
    """Stop services at the same time; the names of those that did not end in time.

    A thread may be blocked in a system call that cannot be ended (a dead mount, a stuck disk): it
    ends with the process.
    """
    stopping = [
        threading.Thread(target=service.stop, name=service.name, daemon=True)
        for service in services
    ]
    for thread in stopping:
        thread.start()
    deadline = time.monotonic() + within
    for thread in stopping:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread.name for thread in stopping if thread.is_alive()]
