"""A node's life: registered and locked at birth, an engine, perhaps a candidate for the lease."""

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
"""With the goodbye (0.5 s for a busy database) and a last moment for whoever reads the output (1 s)
less than the 4.5 seconds after which a process that was told to end is ended."""


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

        ``leave`` strikes the node from the registry without waiting long; ``close`` lets go of
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
        """What ended one of the node's threads; whoever runs the node must end it then."""
        failures = (side.failure for side in self._side_threads)
        return (
            self._gone()
            or self._engine.failure
            or self._keeper.failure
            or next(filter(None, failures), None)
        )

    def _gone(self) -> DatabaseGoneError | None:
        """Also while the engine waits for something: a node without its database is none."""
        try:
            self._store.require_same()
        except DatabaseGoneError as error:
            return error
        return None

    def start(self) -> None:
        """Be alive, then known, then at work. Errors: `StorageError`, `OSError`."""
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
        """Have the engine look at the queue now."""
        self._engine.wake()

    def stop(self) -> None:
        """Resign first, so that a follower takes over while we tidy up."""
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
        """Say goodbye; when the database is busy, the free lock says it for us."""
        if self._gone() is not None:
            return False
        try:
            self._leave()
        except (DatabaseGoneError, StorageError) as error:
            log.warning("could not leave the registry: %s", error)
            return False
        return True


def _stop(*services: ServiceThread, within: float) -> list[str]:
    """Stop services side by side; those that had not ended in time, by name.

    A thread may be held by a system call that nothing ends (a dead mount, a stuck disk): it is left
    behind, and ends with the process.
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
