"""A node's life: registered and locked at birth, an engine, perhaps a candidate for the lease."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from claude_tasks.domain.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.ports import NodeStore
    from claude_tasks.scheduling.engine import EngineThread
    from claude_tasks.scheduling.leadership import KeeperThread, Standing
    from claude_tasks.scheduling.lifetime import LifetimeLock

log = logging.getLogger(__name__)


class SideThread(Protocol):
    """A thread beside the engine: one that asks about usage, one that sends messages."""

    failure: BaseException | None

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End. Repeatable."""
        ...


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
        keeper: KeeperThread | None,
        side_threads: Sequence[SideThread],
        standing: Standing,
        close: Callable[[], None],
    ) -> None:
        """It stands for the lease with a ``keeper``; ``side_threads`` go beside the engine.

        ``leave`` strikes the node from the register without waiting long; ``close`` lets go of
        ``store`` at the end.
        """
        self.node = node
        self._store = store
        self._leave = leave
        self._lock = lock
        self._engine = engine
        self._keeper = keeper
        self._side_threads = side_threads
        self._standing = standing
        self._close = close
        self._started = False

    @property
    def term(self) -> Term | None:
        """The term in which this node leads now, None while it follows."""
        return self._standing.term()

    @property
    def failure(self) -> BaseException | None:
        """What ended one of the node's threads; whoever runs the node must end it then."""
        keeper = None if self._keeper is None else self._keeper.failure
        failures = (side.failure for side in self._side_threads)
        return self._engine.failure or keeper or next(filter(None, failures), None)

    def start(self) -> None:
        """Be alive, then known, then at work. Errors: `StorageError`, `OSError`."""
        if self._started:
            return
        self._lock.acquire()
        self._store.register_node(self.node)
        for side in self._side_threads:
            side.start()
        self._engine.start()
        if self._keeper is not None:
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
        if self._keeper is not None:
            self._keeper.stop()
        self._engine.stop()
        for side in self._side_threads:
            side.stop()
        self._lock.release(tidy=self._leave_register())
        self._close()

    def _leave_register(self) -> bool:
        """Say goodbye; when the database is busy, the free lock says it for us."""
        try:
            self._leave()
        except StorageError as error:
            log.warning("could not leave the register: %s", error)
            return False
        return True
