"""A node's life: registered and locked at birth, an engine, perhaps a candidate for the lease."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from claude_tasks.domain.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.ports import NodeStore
    from claude_tasks.scheduling.engine import EngineThread
    from claude_tasks.scheduling.leadership import KeeperThread, Standing
    from claude_tasks.scheduling.lifetime import LifetimeLock

log = logging.getLogger(__name__)


class UsageKeeping(Protocol):
    """The thread that asks about usage."""

    failure: BaseException | None

    def start(self) -> None:
        """Wait to be asked."""
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
        usage: UsageKeeping | None,
        standing: Standing,
        close: Callable[[], None],
    ) -> None:
        """Without a ``keeper`` it does not stand for the lease, without ``usage`` it asks nobody.

        ``leave`` strikes the node from the register without waiting long; ``close`` lets go of
        ``store`` at the end.
        """
        self.node = node
        self._store = store
        self._leave = leave
        self._lock = lock
        self._engine = engine
        self._keeper = keeper
        self._usage = usage
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
        usage = None if self._usage is None else self._usage.failure
        return self._engine.failure or keeper or usage

    def start(self) -> None:
        """Be alive, then known, then at work. Errors: `StorageError`, `OSError`."""
        if self._started:
            return
        self._lock.acquire()
        self._store.register_node(self.node)
        if self._usage is not None:
            self._usage.start()
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
        if self._usage is not None:
            self._usage.stop()
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
